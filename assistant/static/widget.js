// The assistant on any site: <script src="https://assistant.example/widget.js"></script>. docs/widget.md says the rest.
// No dependency, nothing built. It asks nobody anything before a question is put, and then only the server it came from.
(() => {
  "use strict";
  const NAME = "assistant-widget";
  if (customElements.get(NAME)) return;
  const script = document.currentScript ?? document.querySelector('script[src*="widget.js"]');
  const base = new URL(".", script.src);
  const given = (window.AssistantWidget ??= {});
  const KEPT = `${NAME} ${base}`; // in the tab's own storage
  const EXCHANGES = 20;
  const TURNS = 6; // that a question may lean on
  const LONGEST = 2000; // characters of a question
  const SELECTED = 500;

  const STRINGS = {
    launcher: "Ask the docs",
    title: "Ask the documentation",
    intro: "Each sentence of an answer has a number that leads to its source.",
    close: "Close",
    new: "New conversation",
    conversation: "Conversation",
    question: "Question",
    ask: "Ask",
    stop: "Stop",
    retry: "Ask again",
    searching: "Searching…",
    searched: "Searched for: {query}",
    stopped: "Stopped.",
    source: "Source {number}",
    sources: "Sources",
    nearest: "Nearest passages",
    page: "On its page",
    document: "In the document",
    doubt: "The source supports this only in part",
    legend: "A number with a question mark: the source supports the sentence only in part.",
    helpful: "Did this help?",
    up: "Yes",
    down: "No",
    comment: "What should we know? (optional)",
    send: "Send",
    thanks: "Thank you.",
    selection: "Ask about this",
    draft: "About “{selection}”: ",
    unreachable:
      "{assistant} cannot be reached, or it does not answer pages of {site}. Whoever runs it allows them with ASSISTANT_ALLOWED_ORIGINS.",
    broken: "The answer broke off.",
  };

  // window.AssistantWidget, then data-* of the script, then its query string, then <meta name="assistant:…">.
  function option(name, fallback) {
    return (
      given[name] ??
      script.getAttribute(`data-${name}`) ??
      new URL(script.src).searchParams.get(name) ??
      document.querySelector(`meta[name="assistant:${name}"]`)?.content ??
      fallback
    );
  }

  const wanted = (name, fallback) => !/^(false|off|no|0)$/i.test(option(name, fallback));

  function words(key, holes = {}) {
    const usual = key === "title" ? option(key, STRINGS.title) : STRINGS[key];
    const text = given.strings?.[key] ?? option(`string-${key}`, usual);
    return text.replace(/\{(\w+)\}/g, (hole, name) => holes[name] ?? hole);
  }

  // Elements are built one by one: no text ever becomes markup, which Trusted Types would forbid.
  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (typeof value === "function") node.addEventListener(name, value);
      else if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child || child === 0));
    return node;
  }

  const button = (part, key, click, more) => make("button", { type: "button", part, click, ...more }, words(key));

  // An address on the web, or nothing; a path is one of the server's.
  function address(to) {
    try {
      const url = new URL(to.replace(/^\/+/, ""), base);
      return /^https?:$/.test(url.protocol) ? url.href : "";
    } catch {
      return "";
    }
  }

  // ---- Markdown: escapes, code, [n], emphasis; of a link only its label; all else is text.

  const INLINE =
    /\\(?<escaped>[!-/:-@[-`{-~])|(?<ticks>`+)(?!`)(?<code>.+?)(?<!`)\k<ticks>(?!`)|\[(?<number>\d+)\]|!?\[(?<label>[^[\]]*)\]\([^()\s]*\)|(?<star>\*{1,3})(?=\S)(?<starred>(?:\\.|[^\\])+?)(?<=\S)\k<star>|(?<!\w)(?<line>__?)(?=\S)(?<lined>(?:\\.|[^\\])+?)(?<=\S)\k<line>(?!\w)/gs;

  // The nodes of a piece of Markdown; `mark` makes that of a citation's number.
  function inline(text, mark) {
    const nodes = [];
    let at = 0;
    for (const { 0: whole, index, groups: one } of text.matchAll(INLINE)) {
      nodes.push(text.slice(at, index));
      at = index + whole.length;
      const inner = one.starred ?? one.lined;
      if (one.escaped) nodes.push(one.escaped);
      else if (one.code) nodes.push(make("code", {}, one.code.replace(/\\\[(?=\d+\])/g, "[")));
      else if (one.number) nodes.push(mark ? mark(Number(one.number)) : whole);
      else if (inner) nodes.push(make((one.star ?? one.line).length > 1 ? "strong" : "em", {}, ...inline(inner, mark)));
      else nodes.push(one.label ?? "");
    }
    nodes.push(text.slice(at));
    return nodes;
  }

  // Offsets count code points, a string's own count UTF-16.
  const letters = (text) => [...text];

  const TABLE = /^(\|.+\|)\n\|(?: --- \|)+((?:\n\|.+\|)+)(?![^])/m;

  // An answer's sentences, one a paragraph; those of the table that ends it together.
  function answered(answer, mark) {
    const { text, sentences } = answer;
    if (!sentences.length) return [make("p", {}, ...inline(text))];
    const weak = new Set(sentences.filter((one) => one.support !== "supported").map((one) => bars(one.text)));
    const piece = (tag, written) => {
      const doubt = weak.has(written);
      return make(tag, { class: doubt && "weak" }, ...inline(written, (number) => mark(number, doubt)));
    };
    const table = TABLE.exec(text);
    const from = table ? letters(text.slice(0, table.index)).length : Infinity;
    const shown = sentences.filter((one) => one.start < from).map((one) => piece("p", one.text));
    if (table) {
      const cells = (line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => bars(cell.trim()));
      const rows = table[2].trim().split("\n").map((line) => make("tr", {}, ...cells(line).map((cell) => piece("td", cell))));
      const head = cells(table[1]).map((cell) => make("th", { scope: "col" }, ...inline(cell)));
      shown.push(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
    }
    if (weak.size) shown.push(make("p", { class: "soft", part: "legend" }, words("legend")));
    return shown;
  }

  const bars = (text) => text.replaceAll("\\|", "|");

  // A passage as its document has it, a span of it marked.
  function passage(hit, start, end) {
    const all = letters(hit.text);
    const [low, high] = [start - hit.start, end - hit.start];
    const piece = (from, to) =>
      inline(
        all.slice(from, to).join("").replace(/^#+ +/gm, "").replace(/^(\s*)[-*+] /gm, "$1• ").replace(/^\|[\s:|-]+\|\n?/gm, ""),
      );
    return [...piece(0, low), make("mark", {}, ...piece(low, high)), ...piece(high)];
  }

  // ---- The server.

  class Problem extends Error {
    constructor(detail, status = 0) {
      super(detail);
      this.status = status;
    }
  }

  async function post(path, body, signal) {
    let response;
    try {
      response = await fetch(new URL(path, base), {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "text/event-stream, application/json" },
        body: JSON.stringify(body),
        credentials: "omit",
        referrerPolicy: "same-origin",
        signal,
      });
    } catch {
      // A browser tells a page nothing of an answer that was not for it.
      throw new Problem(words("unreachable", { assistant: base.host, site: location.origin }));
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new Problem(problem.detail ?? `${response.status} ${response.statusText}`, response.status);
  }

  // Server-sent events, wherever the network cuts them.
  async function* events(body) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let name = "";
    let data = [];
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        // A "\r" at the end may be the half of a line's end.
        const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop();
        for (const line of lines) {
          const [, field, text] = /^([^:]*):? ?(.*)$/s.exec(line);
          if (!line) {
            if (data.length) yield { name, data: JSON.parse(data.join("\n")) };
            [name, data] = ["", []];
          } else if (field === "event") name = text;
          else if (field === "data") data.push(text);
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  // The whole answer; `grown` gets each sentence before.
  async function answerOf(body, signal, grown) {
    const response = await post("api/v1/ask", body, signal);
    try {
      if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) return await response.json();
      for await (const { name, data } of events(response.body)) {
        if (name === "answer") return data;
        if (name === "error") throw new Problem(data.detail ?? data.title, data.status);
        if (name === "sentence") grown(data.text);
      }
    } catch (error) {
      if (error instanceof Problem) throw error;
    }
    throw new Problem(words("broken"));
  }

  // The address of the page being read, as the site itself calls it.
  function pageAddress() {
    const canonical = document.querySelector("link[rel=canonical]")?.href || location.origin + location.pathname;
    return /^https?:/.test(canonical) && canonical.length <= 2000 ? canonical : undefined;
  }

  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(`assistant:${name}`, { detail }));

  // ---- The element.

  // In pixels: a site's own root size, such as Material's 125 %, is none of its.
  const STYLE = `
    :host { display: contents !important; color-scheme: light dark; }
    :host([data-scheme=light]) { color-scheme: light; }
    :host([data-scheme=dark]) { color-scheme: dark; }
    aside {
      --accent: var(--assistant-accent, var(--md-primary-fg-color, light-dark(#0b57d0, #9ac0ff)));
      /* Black or white, whichever is easier to read on the accent: 4.5 to 1 at least, whatever the accent. */
      --on: color(from var(--accent) xyz calc(.95 * clamp(0, (.179 - y) * 9999, 1)) clamp(0, (.179 - y) * 9999, 1) calc(1.089 * clamp(0, (.179 - y) * 9999, 1)));
      --text: var(--assistant-text, light-dark(#1d1f23, #e6e8ec)); --soft: var(--assistant-soft, light-dark(#565c66, #a9b0bb));
      --back: var(--assistant-background, light-dark(#fff, #15171b)); --line: light-dark(#c9cdd4, #3f4550);
      --fill: light-dark(#f1f3f5, #22262c); --mark: light-dark(#ffe28a, #6b5310); --bad: light-dark(#b3261e, #ffb4ab);
      --radius: var(--assistant-radius, 10px);
      font-family: var(--assistant-font, inherit); font-size: var(--assistant-font-size, 15px); font-weight: 400; font-style: normal; line-height: 1.5;
      color: var(--text); text-align: start; text-transform: none; text-indent: 0; letter-spacing: normal; word-spacing: normal;
      white-space: normal; visibility: visible; cursor: auto;
    }
    * { box-sizing: border-box; }
    [hidden] { display: none !important; }
    button, textarea, input { font: inherit; color: inherit; letter-spacing: inherit; }
    button {
      min-height: 32px; padding: 4px 12px; border: 1px solid var(--line); border-radius: var(--radius);
      background: var(--back); cursor: pointer;
    }
    button:hover { background: var(--fill); }
    button[aria-pressed=true] { background: var(--fill); font-weight: 700; border-color: currentColor; }
    :focus-visible { outline: 2px solid var(--text); outline-offset: 2px; }
    .main, .main:hover { background: var(--accent); color: var(--on); border-color: transparent; font-weight: 600; }
    .launcher, .selection, dialog { position: fixed; z-index: 2147483000; }
    .launcher {
      bottom: var(--assistant-bottom, 16px); right: var(--assistant-side, 16px); min-height: 44px; padding: 8px 17.6px;
      border-radius: 32px; box-shadow: 0 2px 8px #0004;
    }
    .selection { box-shadow: 0 2px 8px #0004; }
    .launcher, .selection { user-select: none; }
    dialog {
      inset: auto var(--assistant-side, 16px) var(--assistant-bottom, 16px) auto; margin: 0; padding: 0;
      width: min(480px, 100vw - 32px); height: min(704px, 100dvh - 32px); max-width: none; max-height: none;
      color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: 0 6px 28px #0005;
      overflow: hidden;
    }
    .left .launcher, .left dialog { right: auto; left: var(--assistant-side, 16px); }
    dialog[open] { display: flex; flex-direction: column; }
    dialog::backdrop { background: #0006; }
    header, form.ask { display: flex; gap: 8px; align-items: center; padding: 9.6px 12px; border-bottom: 1px solid var(--line); }
    form.ask { border: 0; border-top: 1px solid var(--line); align-items: end; }
    h2 { flex: 1; margin: 0; font-size: 1.05em; line-height: 1.3; }
    .log { flex: 1; position: relative; overflow-y: auto; overscroll-behavior: contain; padding: 4px 14.4px 14.4px; overflow-wrap: anywhere; }
    .log:focus-visible { outline-offset: -2px; }
    article + article { border-top: 1px solid var(--line); margin-top: 16px; }
    h3 { margin: 14.4px 0 8px; font-size: 1em; white-space: pre-wrap; }
    h4 { margin: 12px 0 4px; font-size: .9em; }
    p { margin: 8px 0; }
    code { background: var(--fill); border-radius: 3px; padding: .1em .25em; font-size: .9em; }
    table { table-layout: fixed; width: 100%; border-collapse: collapse; margin: 8px 0; }
    th, td { border: 1px solid var(--line); padding: 5.6px 7.2px; text-align: start; vertical-align: top; overflow-wrap: break-word; hyphens: auto; }
    .soft { color: var(--soft); font-size: .88em; }
    .notice, .error { border-inline-start: 3px solid var(--accent); padding-inline-start: 9.6px; }
    .error { border-color: var(--bad); }
    .weak { text-decoration: underline dotted 2px; text-underline-offset: .2em; }
    .number { display: inline-block; min-height: 1.6em; min-width: 1.6em; margin: 0 .1em; padding: 0 .25em; border-radius: 5px; font-size: .85em; line-height: 1.4; }
    details { border: 1px solid var(--line); border-radius: var(--radius); margin: 5.6px 0; }
    summary { padding: 6.4px 9.6px; cursor: pointer; font-size: .9em; border-radius: var(--radius); }
    blockquote { margin: 0; padding: 1.6px 12px 6.4px; white-space: pre-wrap; font-size: .9em; }
    mark { background: var(--mark); color: inherit; border-radius: 3px; }
    .links { padding: 0 12px 4px; font-size: .9em; }
    .links a { color: inherit; margin-inline-end: 16px; text-underline-offset: .2em; }
    .row { display: flex; flex-wrap: wrap; gap: 6.4px; align-items: center; margin-top: 9.6px; }
    .row button { min-height: 28.8px; padding: 1.6px 9.6px; font-size: .9em; }
    .examples { display: grid; gap: 6.4px; justify-items: start; }
    .examples button { text-align: start; }
    textarea, input { flex: 1; min-width: 0; padding: 7.2px 9.6px; border: 1px solid var(--soft); border-radius: var(--radius); background: var(--back); }
    textarea { resize: none; field-sizing: content; min-height: 3.6em; max-height: 12em; }
    .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    @media (max-width: 640px) {
      dialog, .left dialog { inset: 0; width: 100%; height: 100dvh; border: 0; border-radius: 0; }
      textarea, input { font-size: max(16px, 1em); }
    }
    @media (prefers-reduced-motion: no-preference) {
      .waiting { animation: wait 1.2s ease-in-out infinite alternate; }
      @keyframes wait { to { opacity: .45; } }
    }
    @media print { :host { display: none !important; } }
  `;

  customElements.define(NAME, class extends HTMLElement {});

  function start() {
    const host = document.createElement(NAME);
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    host.lang = option("lang", "en");
    if (option("accent")) host.style.setProperty("--assistant-accent", option("accent"));

    const narrow = matchMedia("(max-width: 640px)");
    const kept = restored();
    const { exchanges } = kept;
    const views = new WeakMap(); // an exchange -> its article
    const cameFrom = new WeakMap(); // a source's card -> the number that led there
    let running = null; // what stops the question being answered
    let opener = null;
    let rates = wanted("feedback", true);

    // ---- What there is to see.

    const launcher = button("launcher", "launcher", () => open(), { class: "main launcher", "aria-haspopup": "dialog", "aria-expanded": "false" });
    const about = button("selection", "selection", askAbout, { class: "main selection", hidden: true });
    const log = make("div", { class: "log", part: "log", role: "region", "aria-label": words("conversation"), tabindex: "0" });
    const box = make("textarea", { part: "input", rows: 2, maxlength: LONGEST, "aria-label": words("question"), placeholder: words("question") });
    const asking = make("button", { class: "main", part: "ask" }, words("ask"));
    const stopping = button("stop", "stop", () => running?.abort(), { hidden: true });
    const form = make("form", { class: "ask", part: "form" }, box, asking, stopping);
    const title = make("h2", { id: "title", part: "title" }, words("title"));
    const spoken = make("p", { class: "spoken", role: "status" });
    const panel = make(
      "dialog",
      { part: "panel", "aria-labelledby": "title" },
      make("header", { part: "header" }, title, button("new", "new", renew), button("close", "close", close)),
      log,
      form,
      spoken,
    );
    root.append(
      make("aside", { "aria-label": words("title"), class: option("position") === "left" && "left" }, launcher, about, panel),
    );
    launcher.hidden = !wanted("launcher", true);
    box.value = kept.draft;

    const say = (text) => spoken.replaceChildren(text);

    function emptyLog() {
      const given = option("examples", []);
      const examples = (typeof given === "string" ? given.split("|") : given).filter(Boolean);
      const ask = (one) => make("button", { type: "button", part: "example", click: () => put(one) }, one);
      log.replaceChildren(
        make("p", { class: "soft", part: "intro" }, words("intro")),
        make("div", { class: "examples" }, ...examples.map((one) => ask(one.trim()))),
      );
    }

    // Shows an exchange as it stands: asked, growing, answered, stopped or failed.
    function show(exchange) {
      const { question, answer, error } = exchange;
      const view = views.get(exchange) ?? make("article", { part: "exchange" });
      if (!views.has(exchange)) {
        if (!exchanges.some((one) => views.has(one))) log.replaceChildren();
        views.set(exchange, view);
        log.append(view);
      }
      const body = make("div", { part: "answer" });
      view.replaceChildren(make("h3", { part: "question" }, question), body);
      if (answer) {
        const { cards, to } = sources(answer);
        body.append(...answered(answer, (number, doubt) => numberOf(number, doubt, to)));
        view.append(...answer.notices.map((one) => make("p", { class: "soft notice", part: "notice" }, one)));
        if (answer.search_query !== question) {
          view.append(make("p", { class: "soft", part: "searched" }, words("searched", { query: answer.search_query })));
        }
        if (cards.length) view.append(make("h4", {}, words(answer.refused ? "nearest" : "sources")), ...cards);
        if (rates) view.append(...rating(exchange));
        return body;
      }
      body.append(...(exchange.grown ?? []).map(paragraph));
      if (running?.exchange === exchange) {
        body.append(make("p", { class: "soft waiting" }, words("searching")));
      } else {
        view.append(
          make("p", { class: error ? "error" : "soft", part: error ? "error" : "stopped" }, error ?? words("stopped")),
          make("div", { class: "row" }, button("retry", "retry", () => run(exchange))),
        );
      }
      return body;
    }

    const paragraph = (text) => make("p", {}, ...inline(text));

    function numberOf(number, doubt, to) {
      const card = to.get(number);
      if (!card) return `[${number}]`;
      const lead = (event) => {
        card.open = true;
        cameFrom.set(card, event.currentTarget);
        card.firstChild.focus();
        emit("source", { number, href: null });
      };
      const label = words("source", { number }) + (doubt ? `: ${words("doubt")}` : "");
      return make("button", { type: "button", class: "number", part: "number", "aria-label": label, title: doubt && words("doubt"), click: lead }, `[${number}${doubt ? "?" : ""}]`);
    }

    // A card for each citation, or for the passages that come nearest; `to` finds a number's.
    function sources(answer) {
      const to = new Map();
      if (answer.refused) return { cards: answer.hits.slice(0, 3).map((hit) => card("", hit, hit, {})), to };
      for (const one of answer.citations) {
        const links = answer.links?.find((link) => link.number === one.number) ?? {};
        const around = answer.hits.find((hit) => hit.document === one.document && hit.start <= one.start && one.end <= hit.end);
        to.set(one.number, card(one.number, one, around ?? { text: one.quote, start: one.start }, links));
      }
      return { cards: [...to.values()], to };
    }

    function card(number, place, around, links) {
      const path = [place.title, ...place.section.filter((one) => one !== place.title)].join(" › ");
      const viewer = links.viewer ?? `sources/${place.document.split("/").map(encodeURIComponent).join("/")}?start=${place.start}&end=${place.end}#cited`;
      const link = (to, key, more) => {
        const href = to && address(to);
        const click = () => {
          emit("source", { number: number || null, href });
          if (!more && narrow.matches) close(); // what it leads to may be right behind
        };
        return href && make("a", { href, part: "link", click, ...more }, words(key));
      };
      return make(
        "details",
        { part: "source" },
        make(
          "summary",
          {},
          number && make("strong", {}, `[${number}] `),
          path,
          make("span", { class: "soft" }, ` (${place.document}:${place.line_start})`),
        ),
        make("blockquote", { part: "passage" }, ...(number ? passage(around, place.start, place.end) : passage(around, around.end, around.end))),
        // In the same tab: where another is opened, some browsers do not look for the sentence.
        make("p", { class: "links" }, link(links.page ?? place.url, "page"), link(viewer, "document", { target: "_blank", rel: "noopener noreferrer" })),
      );
    }

    // ---- Asking.

    function submit() {
      const text = box.value;
      if (running || !text.trim()) return;
      box.value = "";
      put(text);
    }

    async function put(question) {
      const text = question.trim().slice(0, LONGEST);
      if (!text || running) return undefined;
      const exchange = { question: text };
      exchanges.push(exchange);
      exchanges.splice(0, exchanges.length - EXCHANGES).forEach((one) => views.get(one)?.remove());
      return run(exchange);
    }

    function past(exchange) {
      const before = exchanges.slice(0, exchanges.indexOf(exchange)).filter((one) => one.answer);
      return before.slice(-TURNS).map((one) => ({ question: one.question, answer: one.answer.text }));
    }

    async function run(exchange) {
      if (running) return undefined;
      const control = new AbortController();
      running = { exchange, abort: () => control.abort() };
      delete exchange.error;
      exchange.grown = [];
      const body = show(exchange);
      const view = views.get(exchange);
      busy(true);
      box.focus();
      log.scrollTop = view.offsetTop;
      save();
      say(words("searching"));
      emit("question", { question: exchange.question });
      const grown = (text) => {
        exchange.grown.push(text);
        body.insertBefore(paragraph(text), body.lastChild);
      };
      const asked = { question: exchange.question, history: past(exchange), page: pageAddress() };
      let problem = null;
      try {
        exchange.answer = await answerOf(asked, control.signal, grown);
        delete exchange.grown;
      } catch (error) {
        if (!control.signal.aborted) problem = error;
        if (problem) exchange.error = problem.message;
      }
      // A new conversation may have begun meanwhile.
      if (running?.exchange !== exchange) return undefined;
      running = null;
      busy(false);
      const shown = show(exchange);
      say(problem ? problem.message : exchange.answer ? aloud(shown) : words("stopped"));
      save();
      if (problem) emit("error", { question: exchange.question, status: problem.status, detail: problem.message });
      if (exchange.answer) emit("answer", { answer: exchange.answer });
      return exchange.answer;
    }

    // An answer's words without its numbers.
    function aloud(body) {
      const copy = body.cloneNode(true);
      copy.querySelectorAll("button").forEach((one) => one.remove());
      return [...copy.querySelectorAll("p, th, td")].map((one) => one.textContent.trim()).join(" ");
    }

    function busy(is) {
      log.setAttribute("aria-busy", is);
      // The one that vanishes must not take the focus with it.
      if (root.activeElement === stopping) box.focus();
      asking.hidden = is;
      stopping.hidden = !is;
    }

    function renew() {
      running?.abort();
      running = null;
      exchanges.length = 0;
      busy(false);
      emptyLog();
      say("");
      save();
      box.focus();
    }

    // ---- Rating.

    function rating(exchange) {
      const told = make("span", { class: "soft" });
      const comment = make("input", { maxlength: 2000, "aria-label": words("comment"), placeholder: words("comment"), part: "comment" });
      const more = make("form", { class: "row", hidden: true }, comment, make("button", {}, words("send")));
      const choices = ["up", "down"].map((one) =>
        button("rate", one, () => rate(one), { "aria-pressed": String(exchange.rating?.rating === one) }),
      );
      const line = make("div", { class: "row", part: "feedback", role: "group", "aria-label": words("helpful") }, make("span", { class: "soft" }, words("helpful")), ...choices, told);
      more.addEventListener("submit", (event) => {
        event.preventDefault();
        rate(exchange.rating.rating, comment.value);
      });

      async function rate(how, text = "") {
        const { id = "" } = exchange.rating ?? {};
        exchange.rating = { rating: how, id };
        choices.forEach((one, at) => one.setAttribute("aria-pressed", String(how === ["up", "down"][at])));
        more.hidden = false;
        try {
          const body = { rating: how, comment: text, id, answer: exchange.answer, history: past(exchange) };
          exchange.rating.id = (await (await post("api/v1/feedback", body)).json()).id;
          told.textContent = words("thanks");
          if (text) {
            if (more.contains(root.activeElement)) choices[how === "up" ? 0 : 1].focus();
            more.hidden = true;
          }
          emit("feedback", { rating: how, comment: text, id: exchange.rating.id });
        } catch (error) {
          told.textContent = error.message;
          more.hidden = error.status === 404; // nothing is stored there
          rates = error.status !== 404;
        }
        say(told.textContent);
        save();
      }

      return [line, more];
    }

    // ---- Opening and closing.

    function reveal() {
      if (narrow.matches) panel.showModal();
      else panel.show();
    }

    function open({ question = "", submit: now = false } = {}) {
      if (!panel.open) {
        const at = document.activeElement;
        opener = at === document.body ? null : at === host ? root.activeElement : at;
        reveal();
        opened();
        emit("open");
      }
      const ask = question && now && !running;
      if (question && !ask) box.value = question;
      box.focus();
      box.setSelectionRange(box.value.length, box.value.length);
      save();
      return ask ? put(question) : undefined;
    }

    function opened() {
      launcher.setAttribute("aria-expanded", String(panel.open));
      launcher.hidden = panel.open || !wanted("launcher", true);
    }

    function close() {
      if (!panel.open) return;
      const inside = panel.contains(root.activeElement);
      panel.close();
      opened();
      const back = opener?.isConnected && opener.checkVisibility?.() !== false ? opener : launcher;
      if (inside) back.focus();
      save();
      emit("close");
    }

    // From a source back to the number that led there, and else out.
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      const card = event.target.closest("details");
      const number = card && cameFrom.get(card);
      if (!number?.isConnected) return close();
      cameFrom.delete(card);
      return number.focus();
    });
    // A telephone's gesture of going back.
    panel.addEventListener("cancel", (event) => {
      event.preventDefault();
      close();
    });
    narrow.addEventListener("change", () => {
      if (!panel.open) return;
      const at = root.activeElement;
      panel.close();
      reveal();
      at?.focus();
    });
    // What is typed here is none of the site's shortcuts.
    for (const kind of ["keydown", "keypress", "keyup"]) host.addEventListener(kind, (event) => event.stopPropagation());

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    });

    // In a query string a "+" is a space.
    const mod = /Mac|iP/.test(navigator.platform) ? "meta" : "ctrl";
    const keys = option("shortcut", "").toLowerCase().replace("mod", mod).split(/[+ ]/);
    const key = keys.pop();
    document.addEventListener("keydown", (event) => {
      const at = event.composedPath()[0];
      const elsewhere = at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
      const held = ["ctrl", "meta", "alt", "shift"].every((one) => event[`${one}Key`] === keys.includes(one));
      if (!key || elsewhere || !held || event.key?.toLowerCase() !== key) return;
      event.preventDefault();
      open();
    });

    // ---- Text that a reader selects.

    function selected() {
      const chosen = getSelection();
      if (!chosen.rangeCount || chosen.isCollapsed || host.contains(chosen.anchorNode)) return "";
      const at = chosen.anchorNode;
      if ((at.nodeType === Node.ELEMENT_NODE ? at : at.parentElement)?.isContentEditable) return "";
      return chosen.toString().replace(/\s+/g, " ").trim();
    }

    function offer() {
      const text = selected();
      about.hidden = text.length < 3;
      if (about.hidden) return;
      const { left, top, bottom } = getSelection().getRangeAt(0).getBoundingClientRect();
      const { offsetWidth: width, offsetHeight: height } = about;
      const below = bottom + 8 + height < innerHeight;
      about.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
      about.style.top = `${below ? bottom + 8 : Math.max(8, top - height - 8)}px`;
    }

    function askAbout() {
      const text = letters(selected());
      about.hidden = true;
      const selection = text.slice(0, SELECTED).join("") + (text.length > SELECTED ? "…" : "");
      open({ question: words("draft", { selection }) + box.value });
    }

    if (wanted("selection", true)) {
      // Only what a hand selects: neither scripts nor the sentence that a link has marked.
      for (const kind of ["pointerup", "keyup", "touchend"]) {
        document.addEventListener(kind, (event) => event.target !== host && setTimeout(offer));
      }
      document.addEventListener("selectionchange", () => (about.hidden ||= !selected()));
      document.addEventListener("scroll", () => (about.hidden = true), { capture: true, passive: true });
      about.addEventListener("pointerdown", (event) => event.preventDefault()); // or the selection is gone
    }

    // ---- What outlives the page: the tab's storage.

    function restored() {
      try {
        return { exchanges: [], draft: "", ...JSON.parse(sessionStorage.getItem(KEPT)) };
      } catch {
        return { exchanges: [], draft: "" };
      }
    }

    function save() {
      for (let from = 0; from <= exchanges.length; from += 1) {
        try {
          sessionStorage.setItem(KEPT, JSON.stringify({ open: panel.open, draft: box.value, exchanges: exchanges.slice(from) }));
          return;
        } catch {
          // Full, or forbidden here: the oldest go first.
        }
      }
    }

    addEventListener("pagehide", save);

    // ---- On the page: attached again when a site swaps its body, light or dark as the site is.

    const watching = new MutationObserver(attach);

    function attach() {
      if (!document.body) return;
      const was = panel.open && !host.isConnected;
      if (!host.isConnected) document.body.append(host);
      if (was && narrow.matches) {
        panel.removeAttribute("open");
        reveal();
      }
      const attributeFilter = ["data-theme", "data-md-color-scheme", "data-bs-theme", "class"];
      for (const one of [document.documentElement, document.body]) watching.observe(one, { childList: true, attributeFilter });
      const named = [document.body, document.documentElement].flatMap(({ dataset: set, classList }) => [
        set.mdColorScheme,
        set.theme,
        set.bsTheme,
        classList.contains("dark") && "dark",
      ]);
      const scheme = [option("scheme"), ...named].map((one) => /^(?:(light|default)|(dark|slate))$/.exec(one ?? "")).find(Boolean);
      host.dataset.scheme = !scheme ? "auto" : scheme[1] ? "light" : "dark";
    }

    emptyLog();
    exchanges.forEach(show);
    attach();
    // Where it was open on the page before it is open on this one, and leaves the focus where it is.
    if (kept.open && !narrow.matches) {
      panel.setAttribute("open", "");
      opened();
    }

    Object.assign(given, { open, close, ask: (question) => open({ question, submit: true }) });
    for (const [name, ...rest] of given.calls ?? []) if (["open", "close", "ask"].includes(name)) given[name](...rest);
  }

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start, { once: true });
})();
