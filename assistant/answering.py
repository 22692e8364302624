"""The whole flow on one screen: question -> standalone query -> hits -> gate -> a model's draft or quotes -> Answer."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from assistant import build as building
from assistant.build import Progress, Report
from assistant.chain import Chain, Models, completed, prompt_for
from assistant.citations import Claim, cite
from assistant.clock import Clock
from assistant.comparison import Comparison
from assistant.corpus import Corpus, corpus_of
from assistant.embedding import Encoder, open_encoder
from assistant.errors import IndexUnusable, UsageError
from assistant.followups import followups
from assistant.gate import Decision, decide
from assistant.generation import ChatModel, Stopped
from assistant.index import Index, current
from assistant.intents import parts
from assistant.live import LiveIndex
from assistant.llm_writing import Draft
from assistant.models import QUOTES, read_profiles
from assistant.models import chain as chain_of
from assistant.nouns import Answer, Document, Hit, Turn
from assistant.prompts import Prompt, Prompts
from assistant.publishing import build_lock
from assistant.query import check_question, leans, standalone, without_orders
from assistant.retrieval import Found, as_retriever, retrieve
from assistant.settings import Settings
from assistant.spelling import spell
from assistant.writing import Quote, quoting_writer

# So many sections are remembered as answerable or not.
SECTIONS = 10_000
READING = "What the page that you are reading says ranks a little higher."
REBUILDING = "The index is being rebuilt; this answer comes from the one before."


@dataclass(frozen=True, slots=True)
class Considered:
    """One question of a message: what was found for it, and the decision to answer."""

    found: Found
    decision: Decision


@dataclass(frozen=True)
class Assistant:
    """Answers questions from the current snapshot; safe to use from several threads."""

    settings: Settings
    encoder: Encoder
    live: LiveIndex
    outdated: str | None = None  # a snapshot that another process is replacing
    refuses: bool = True  # False only in the evals, to show what the gate is worth
    models: Models = field(default_factory=Models)
    _answerable: dict[tuple[str, str], bool] = field(default_factory=dict, compare=False, repr=False)

    def ask(self, question: str, history: Sequence[Turn] = ()) -> Answer:
        """The finished answer: the last one that `stream` yields."""
        return deque(self.stream(question, history), maxlen=1).pop()

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        stopped: Callable[[], bool] = lambda: False,
        query: str = "",
        page: str = "",
    ) -> Iterator[Answer]:
        """Yields the answer as it grows: first its passages, then the text, a model's sentence by sentence.

        `query` is searched as it is, instead of what would be made of the question and its history. Passages of the
        document whose url is `page` rank a little higher. Ends early, and any request to a model with it, soon after `stopped` says so. Raises UsageError for a question that
        is empty or too long, before anything is searched.
        """
        question = check_question(question)
        with self.live.borrow() as index, suppress(Stopped):
            clock = Clock()
            chain = Chain(self.models, stopped)
            query = check_question(query) if query else self.standalone(index, question, self.recent(history), chain)
            near = index.at(page) if page else ""
            considered = self.consider(index, query, near)
            # Of two questions in one, those that the documents answer are answered; the others are named.
            answered = [one for one in considered if one.decision.answer]
            founds = [one.found for one in answered or considered]
            left = [one for one in considered if answered and not one.decision.answer]
            notices = [REBUILDING] if index.id == self.outdated else []
            notices += [READING] if near else []
            notices += [f"The documents do not answer: “{one.found.query}”" for one in left]
            clock.mark("retrieve")
            answer = Answer(
                id="",
                question=question,
                search_query=query,
                text="",
                refused=not answered,
                answered_by="quotes",
                index=index.id,
                notices=tuple(notices),
                hits=shared(founds, self.settings.passages),
            )
            if answered:
                yield answer
                clock.skip()
                draft = Draft()
                for draft in self.drafts(index, founds, answer, chain, clock):
                    yield with_text(answer, draft.claims, index.comparison)
                    clock.skip()
                by_model = bool(chain.answered_by)
                answer = replace(answer, dropped=draft.dropped)
                spoken = completed(index, founds, draft) if by_model else list(quoting_writer(index, founds))
                clock.mark("write")
                answer = with_text(answer, spoken, index.comparison)
                clock.mark("verify")
                told = [f"{failure} {_instead(chain)}" for failure in chain.failures]
                answer = replace(
                    answer,
                    answered_by=chain.answered_by or QUOTES,
                    notices=(*answer.notices, *told, *chain.notices, *_quoted(spoken, by_model)),
                )
            if not answer.sentences:
                answer = replace(answer, text=refusal(surest(considered).decision), refused=True)
            yield replace(answer, id=_answer_id(answer, history), timings_ms=clock.total())

    def drafts(
        self, index: Index, founds: Sequence[Found], answer: Answer, chain: Chain, clock: Clock
    ) -> Iterator[Draft]:
        """What the models say as it grows; nothing where there are none."""
        if self.models.prompts is not None:
            passages = [hit.passage for hit in answer.hits]
            yield from chain.write(index, self.encoder, founds, answer.search_query, passages, clock.waiting)

    def prompt(self, question: str, history: Sequence[Turn] = ()) -> Prompt | None:
        """What the first model would be sent, or any in the settings' window where there is none; nothing is sent.

        A question that leans on its history is made whole by rule. None where the documents do not answer. Raises UsageError
        for a question that is empty or too long, or a window in which not one passage has room.
        """
        question = check_question(question)
        prompts = self.models.prompts or Prompts(self.settings.prompts)
        limits = self.models.models[0].profile if self.models.models else None
        room = limits.room if limits else self.settings.model_window - self.settings.model_tokens
        with self.live.borrow() as index:
            query = self.standalone(index, question, self.recent(history))
            founds = [one.found for one in self.consider(index, query) if one.decision.answer]
            if not founds:
                return None
            passages = [hit.passage for hit in shared(founds, self.settings.passages)]
            prompt = prompt_for(prompts, index, self.encoder, founds, query, passages, room)
        if prompt is None:
            raise UsageError(f"Not one passage has room in {room} tokens. Raise ASSISTANT_MODEL_WINDOW.")
        return prompt

    def recent(self, history: Sequence[Turn]) -> Sequence[Turn]:
        """The earlier turns that a question may lean on."""
        return history[-self.settings.history_turns :] if self.settings.history_turns else ()

    def standalone(self, index: Index, question: str, history: Sequence[Turn], chain: Chain | None = None) -> str:
        """What is searched for a question: made whole by its history, misspelt words put right."""
        nothing = self.encoder.window.count("")
        asked = without_orders(question)
        chain = chain or Chain(Models())
        # A word that the model's own vocabulary holds in one piece is no typing error.
        return spell(
            chain.standalone(asked, history, index.comparison, self.encoder),
            index.vocabulary,
            lambda word: self.encoder.window.count(word) - nothing == 1,
        )

    def consider(self, index: Index, query: str, near: str = "") -> list[Considered]:
        """What is found for each question in a message, and whether it suffices for an answer."""
        considered = []
        for part in whole_parts(query, index.comparison):
            found = retrieve(index, self.encoder, part, self.settings.passages, near)
            decision = decide(index, self.encoder, found)
            considered.append(Considered(found, decision if self.refuses else replace(decision, answer=True)))
        return considered

    def search(self, query: str, count: int) -> tuple[Hit, ...]:
        """The `count` best passages for a query."""
        query = check_question(query)
        with self.live.borrow() as index:
            return retrieve(index, self.encoder, query, count).hits

    def suggestions(self, answer: Answer, asked: Sequence[str] = ()) -> tuple[str, ...]:
        """What to ask next: the documents answer each of them. `asked` are the questions before this one."""
        with self.live.borrow() as index:

            def answerable(query: str) -> bool:
                # Sections are few and asked about again and again.
                key = (index.id, query)
                if key not in self._answerable:
                    if len(self._answerable) >= SECTIONS:
                        self._answerable.clear()
                    self._answerable[key] = all(one.decision.answer for one in self.consider(index, query))
                return self._answerable[key]

            return followups(index, answer, asked, answerable)

    def document(self, document_id: str) -> tuple[Document, frozenset[str]] | None:
        """A document as it is indexed, and the names of all; None where there is none of this name."""
        with self.live.borrow() as index:
            found = index.document(document_id)
            return (found, index.documents) if found else None

    def titles(self) -> list[Document]:
        """The documents that are indexed, by id."""
        with self.live.borrow() as index:
            return [found for name in sorted(index.documents) if (found := index.document(name))]

    def as_retriever(self, count: int = 5) -> Any:
        """The same search as a LangChain `BaseRetriever`."""
        return as_retriever(self.search, count)

    def close(self) -> None:
        self.live.close()


def whole_parts(query: str, comparison: Comparison) -> list[str]:
    """The questions in a message, each made whole: a later one may lean on the first."""
    first, *others = parts(query)
    leaning = [Turn(first)]
    return [
        first,
        *(standalone(part, leaning, comparison) if leans(part, comparison) else part for part in others),
    ]


def surest(considered: Sequence[Considered]) -> Considered:
    """The question of a message that the gate is surest of, the first of equals."""
    return max(considered, key=lambda one: one.decision.confidence)


def shared(founds: Sequence[Found], count: int) -> tuple[Hit, ...]:
    """The best hits of several searches, taken in turn, none twice; the first `count` where there is one search."""
    taken: dict[str, Hit] = {}
    for rank in range(count):
        for found in founds:
            for hit in found.hits[rank : rank + 1]:
                taken.setdefault(hit.passage.id, hit)
    return tuple(taken.values())


def refusal(decision: Decision) -> str:
    """One sentence that says what the documents lack."""
    if not decision.missing:
        return "The documents come close to this question, but nothing in them answers it."
    named = [f"“{word}”" for word in decision.missing[:4]]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"
    return f"The documents do not answer this: the nearest passages say nothing about {listed}."


def with_text(answer: Answer, spoken: Sequence[Claim | Quote], comparison: Comparison) -> Answer:
    cited = cite(spoken, comparison)
    return replace(answer, text=cited.text, sentences=cited.sentences, citations=cited.citations)


def _instead(chain: Chain) -> str:
    return f"{chain.answered_by} answered instead." if chain.answered_by else "The documents are quoted instead."


def _quoted(spoken: Sequence[Claim | Quote], by_model: bool) -> list[str]:
    """What a reader should know where some sentences of a model's answer are quotes."""
    count = sum(isinstance(one, Quote) for one in spoken)
    if not by_model or not count:
        return []
    return [
        "1 sentence is quoted: the model left it out."
        if count == 1
        else f"{count} sentences are quoted: the model left them out."
    ]


def open_models(settings: Settings) -> Models:
    """The configured models, opened. Raises UsageError where one cannot be called, before any question is asked."""
    profiles = chain_of(settings)
    if not profiles:
        return Models()
    return Models(tuple(ChatModel(one, settings.model_threads) for one in profiles), Prompts(settings.prompts))


def open_choices(settings: Settings) -> dict[str, Models]:
    """What a reader may have an answer written by, by name: the configured model first, the profiles, the quotes.

    Raises UsageError where one of them cannot be called.
    """
    names = dict.fromkeys([settings.model, *read_profiles(settings), QUOTES])
    return {name: open_models(settings.model_copy(update={"model": name})) for name in names}


def open_assistant(
    settings: Settings,
    update: bool = True,
    progress: Callable[[], Progress] | None = None,
    complain: Callable[[str], None] = lambda line: None,
    models: Models | None = None,
) -> Assistant:
    """An assistant on the snapshot of the settings' corpus, which is brought up to date first.

    `complain` is given one line for each document that cannot be read. Without `models` the settings' are opened.
    """
    models = models or open_models(settings)
    outdated = None
    if update:
        corpus = corpus_of(settings)
        for problem in corpus.problems:
            complain(f"left out {problem}")
        encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
        if not building.is_current(corpus, settings.index, encoder.weights, settings.passage_characters):
            outdated = update_index(settings, corpus, encoder, progress)
    else:
        if current(settings.index) is None:
            raise IndexUnusable(f"There is no index in {str(settings.index)!r} yet. Run: assistant index")
        encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
    live = LiveIndex(settings.index, encoder.weights)
    with live.borrow():
        pass  # opened now, so that a damaged snapshot is found before any question
    return Assistant(settings, encoder, live, outdated, models=models)


def update_index(
    settings: Settings, corpus: Corpus, encoder: Encoder, progress: Callable[[], Progress] | None
) -> str | None:
    """Builds the snapshot; while another process builds, gives the id of the one that serves meanwhile."""
    with build_lock(settings.index, wait=current(settings.index) is None) as held:
        if not held:
            return current(settings.index)
        if not building.is_current(corpus, settings.index, encoder.weights, settings.passage_characters):
            build_index(settings, corpus, encoder, progress)
    return None


def build_index(
    settings: Settings, corpus: Corpus, encoder: Encoder, progress: Callable[[], Progress] | None = None
) -> Report:
    """Makes and publishes the snapshot; hold the build lock."""
    show = progress() if progress else lambda done, total: None
    return building.build(corpus, settings.index, encoder, settings.passage_characters, show)


def _answer_id(answer: Answer, history: Sequence[Turn]) -> str:
    """Equal for equal questions with equal answers from the same snapshot."""
    parts: list[Any] = [answer.question, [[turn.question, turn.answer] for turn in history], answer.search_query]
    parts += [answer.answered_by, answer.index, answer.text]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
