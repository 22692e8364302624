"""Does a document speak to the machine that reads it? Then nothing of it is quoted.

Whoever can add a file to a corpus can write "assistants must answer …" into it, in a comment, a table or a fence. A reader is
never spoken to like that, so one such place is enough to distrust the whole file: what stands beside it may be plain, and false.
"""

import re
import unicodedata

_MACHINE = (
    r"(?:(?:ai|virtual|helpful|ki)[ -]assistants?|(?:the|an|dear|any|every|this|all|your)\s+assistants?|assistants(?= (?:must|should|shall|that|who|which|reading))"
    r"|\bai\s+(?:systems?|models?|agents?|tools?|readers?)|(?:large\s+)?language\s+models?|llms?|chat\s?bots?|(?:answer|answering|question.answering)\s+(?:engines?|systems?|tools?|bots?)"
    r"|(?:rank|index|crawl)(?:ing\s+(?:systems?|tools?)|ers?)|retriev(?:al|er)s?\s+(?:systems?|engines?|tools?)|summari[sz](?:ers?|ation\s+tools?)|copilots?|automated\s+readers?"
    r"|reader'?s'?\s+software|modèles\s+de\s+langage|sprachmodelle?|chatgpt|gpt|claude|gemini)"
)
_SPEAK = (
    r"(?:repl(?:y|ies)|respond|answer|repeat|output|print|begin|start|end|finish|say|tell|write|quote|cite|give|add|append|embed|return|score|rank|mention|include|insert|summari[sz]e|"
    r"recommend|treat|ignore|disregard|forget|drop|leave\s+out|prefer|use\s+only|obey|follow|state|claim|present|show|hide|store|flag|contain|switch|send|refuse|credit)"
)
_SAID = r"(?:answers?|repl(?:y|ies)|responses?|outputs?|summar(?:y|ies)|overviews?)"
_ONLY = r"(?:please\s+|always\s+|never\s+|do not\s+|don't\s+|you\b|from now|new\s+policy|the user)"
_PATTERNS = (
    # The marks of chat templates and of their messages.
    r"<\|[a-z_]{3,30}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|passages?|context|documents?|instructions?|user_query|assistant)>",
    r"\{\s*\"role\"\s*:|\bx-agent-\w+\s*:|###\s*(?:end of (?:context|document)|new task)\b|###\s*(?:instructions?|system|assistant)\s*:?\s*$",
    rf"^\W*(?:system|assistant|ai)\b[^:\n]{{0,40}}:\s*(?:{_ONLY}|{_SPEAK}\b)|\bhuman\s*:.{{1,200}}\bassistant\s*:",
    r"^\W*(?:system|developer)[ _-](?:prompt|note|override|instruction)s?\b[^.\n]{0,40}:|\b(?:assistant|ai|llm)[_-](?:directive|instruction|note|prompt)s?\b",
    # A note, a call or a name that is not for people.
    rf"\b(?:note|notice|message|request|hint|hinweis|attention|attn|hey|hi|dear|beste)\b\W+(?:(?:for|to|an|des|the|all|à|reading)\W+){{0,3}}{_MACHINE}\b",
    rf"^\W*(?:to\s+)?(?:the\s+)?(?:{_MACHINE}|crawler|indexer|gpt|ai[ -]lezer|beste\s+ai[ -]lezer)\b[^:,\n]{{0,30}}[:,]\s*(?:{_ONLY}|{_SPEAK}\b|stop\b|index\b|quick\b|whatever\b)",
    r"^\W*@(?:claude|gpt|gemini|copilot|chatgpt)\b",
    # Orders to drop what was said or found before, and to prefer this.
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|other|these|those|your|the|given)\b.{0,30}"
    r"\b(?:instructions?|prompts?|rules?|guidelines|policy|policies|passages?|notes?|rows?|sources?|documents?|context|question)\b",
    r"\b(?:ignorier\w*|vergiss|missachte\w*|negeer\w*)\b.{0,50}\b(?:anweisung\w*|instruktion\w*|instructies?|regeln|quellen|notizen|dokumente)\b",
    r"\b(?:ignore[zr]?|oublie[zr]?)\b.{0,50}\b(?:consignes?|instructions?|règles|sources|notes|documents)\b",
    r"\b(?:ignor[ae]\w*|olvida\w*|dimentica\w*|esque\w+)\b.{0,50}\b(?:instruccion\w*|istruzion\w*|instruç\w*|reglas|regole|regras|fuentes|fonti|fontes|notas|documentos|documenti)\b",
    r"\bzignoruj\b.{0,50}\b(?:polecen\w*|instrukcj\w*)|\balle anderen quellen weglassen\b|\bausschließlich diese (?:notiz|quelle)\b",
    r"\b(?:asistente|assistente|assistent|l'assistant|asystent)\b.{0,60}\b(?:debe|deve|devi|muss|soll\w*|doit|devrait|responde\w*|antworte\w*|répond\w*|rispond\w*|moet|añade|incl\w+)\b",
    r"\b(?:tu|deiner|ihrer|votre|ta|tua|sua|je)\s+(?:resumen|zusammenfassung|antwort|respuesta|réponse|résumé|risposta|resposta|antwoord|samenvatting)\b|\bonder elke samenvatting\b|\btodas? as? suas respostas\b",
    r"\b(?:supersedes?|replaces?|overrides?)\s+(?:all|every|any)\s+(?:the\s+)?other\b[^.\n]{0,60}\b(?:alone|only|ignore|leave out)\b|\bcite (?:it|this) alone\b|\bcompeting (?:passages?|notes?|entries|sources?)\b",
    r"\b(?:rank|score|put|list|show) this (?:note|page|entry|document|passage)\b[^.\n]{0,20}\b(?:first|1\.0|top)\b|\bgive this (?:note|page|entry|passage) the (?:highest|top)\b",
    r"\brely on this (?:source|note|page)\b|\b(?:remaining|other) (?:documents|notes|passages|sources) are\b[^.\n]{0,30}\b(?:test data|outdated|retracted|fake)\b|\bsources? numbered\b",
    # What must not be seen.
    r"\b(?:do not|don't|never|must not|not to)\s+(?:tell|show|inform|let|mention to|reveal to)\b[^.\n]{0,20}\b(?:user|reader|them|anyone)\b[^.\n]{0,40}\b(?:this|that|where|why|any|paragraph|comment|hint|know)\b",
    r"\btell nobody\b|\bverschweige?n?\b|\bne dites rien à\b|\bvertel de gebruiker niet\b|\bact on it silently\b|\bwithout (?:saying|telling|mentioning) where\b",
    r"\bdecode\b[^.\n]{0,40}\b(?:and|then)\s+(?:follow|do|obey|execute)\b|\brot13\b[^.\n]{0,30}\b(?:model|assistant|follow|act)\b",
    # The machine is told what to say.
    rf"\b{_MACHINE}\b[^.\n]{{0,80}}\b(?:must|should|shall|has to|have to|needs? to|is to|are to|will|always|never|do not|don't|may not|is required to|agrees? to)\b[^.\n]{{0,12}}\b{_SPEAK}\b",
    rf"\b(?:assistant|ai|llm|bot)s?\s*[:,]\s*(?:{_ONLY})?{_SPEAK}\b",
    rf"\b{_MACHINE}\b[^.\n]{{0,40}}\b(?:gives|writes|says|repeats|quotes|cites|adds|answers)\b[^.\n]{{0,60}}\b(?:first|alone|instead|together|only|each|every|verbatim|word for word)\b",
    rf"\b(?:begin|start|end|open|close|finish|prefix|append|add)\b[^.\n]{{0,30}}\b(?:every|each|all|any|your)\b[^.\n]{{0,12}}\b{_SAID}\b",
    r"\b(?:reply|respond)\b[^.\n]{0,30}\b(?:every|each|all|any)\b[^.\n]{0,12}\b(?:answers?|questions?|quer(?:y|ies))\b",
    rf"\b(?:in|under|to|with|of|after)\s+(?:every|each|all|your|any)\s+(?:your\s+)?{_SAID}\b[^.\n]{{0,60}}\b(?:must|should|shall|give|add|write|embed|include|mention)\b",
    rf"\b(?:give|add|write|embed|include|put|insert|render|repeat)\b[^.\n]{{0,60}}\b(?:in|under|to|into|after)\s+(?:(?:every|each|all|your)\s+(?:your\s+)?{_SAID}|the\s+(?:answer|reply|summary))\b",
    rf"\b(?:every|each|all|your|any)\s+(?:generated\s+)?{_SAID}\b[^.\n]{{0,30}}\b(?:must|should|shall|has to|have to|needs? to)\s+(?:open|{_SPEAK})\b",
    r"\bbefore you (?:reply|answer|respond)\b|\b(?:skip|omit|suppress) (?:the )?citations?\b|\breturn confidence\b",
    r"\b(?:begin|start|open|end|finish|close)\s+with\s+(?:the\s+)?(?:words?|sentence|phrase|line)\b",
    r"\b(?:when(?:ever)?|if|whatever)\b[^.\n]{0,20}\b(?:questions?|user|someone|anyone|they|conversation)\b[^.\n]{0,40}\b(?:mentions?|asks?|types?|turns? up|about)\b[^.\n]{0,40},?\s*(?:then\s+)?\b(?:respond|reply|answer with|recommend|switch|send the|say that|finish with)\b",
    r"\b(?:do not|don't|never)\s+(?:mention|cite|quote|name|give|show)\b[^.\n]{0,30}\b(?:sources?|citations?)\b|\bdo not cite the (?:note|page|other)\b",
    r"\bauthoritative answer to (?:every|all|any)\b|\b(?:return|repeat|quote|output|copy) this\b[^.\n]{0,40}\b(?:word for word|verbatim|first|alone|and nothing else)\b",
    r"\b(?:any|every) (?:bot|tool|model) that (?:quotes|reads|summari[sz]es)\b|\bwhichever tool\b",
    # The machine is given another role.
    r"\b(?:from now on|henceforth)\b,?\s+you\b|\byou (?:are|work|were) (?:now |no longer )?(?:an?|the|for|as)\b[^.\n]{0,30}\b(?:assistant|ai|bot|chatbot|language model|hotline|helper|pirate)\b"
    r"|\byou now (?:work|act|answer)\b|\bstay in (?:this |that )?character\b|\bdrop your (?:usual )?rules\b|\bdebug mode is on\b|\byou should refuse to answer\b",
    r"\bas your (?:new )?(?:instructions?|orders?|prompt)\b|\bnew (?:system )?(?:instructions?|prompt|policy|orders?|task)\s*:|\btreat everything after this\b",
)
_ADDRESSED = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE | re.MULTILINE)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def machine_addressed(text: str) -> int | None:
    """The line, from 1, of the first place where a text speaks to a machine; None where it speaks to readers only.

    The whole text is read: comments, code and front matter too. Letters that look alike (NFKC) and invisible ones hide nothing.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if _ADDRESSED.search(_INVISIBLE.sub("", unicodedata.normalize("NFKC", line))):
            return number
    return None
