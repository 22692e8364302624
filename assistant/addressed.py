"""Does a document speak to the machine that reads it? Then nothing of it is quoted.

Whoever can add a file to a corpus can write "assistants must answer …" into it, in a comment, a table or a fence. A reader is
never spoken to like that, so one such place is enough to distrust the whole file: what stands beside it may be plain, and false.
"""

import re
import unicodedata

_MACHINE = (
    r"(?:(?:ai|virtual|helpful)[ -]assistants?|(?:the|an|dear|any|every|this|all|your)\s+assistants?|assistants(?= (?:must|should|shall|that|who|which|reading))"
    r"|\bai\s+(?:systems?|models?|agents?|tools?|readers?)|(?:large\s+)?language\s+models?|llms?|chat\s?bots?|(?:answer|answering|question.answering)\s+(?:engines?|systems?|tools?|bots?)"
    r"|rank(?:ing|ers?)\s+systems?|rankers?|retriev(?:al|er)s?\s+(?:systems?|engines?)|summari[sz](?:ers?|ation\s+tools?)|copilots?)"
)
_SPEAK = (
    r"(?:repl(?:y|ies)|respond|answer|repeat|output|print|begin|start|end|say|tell|write|quote|cite|give|add|append|embed|return|score|rank|mention|include|insert|summari[sz]e|"
    r"recommend|treat|ignore|disregard|forget|drop|leave\s+out|prefer|use\s+only|obey|follow)"
)
_PATTERNS = (
    # The marks of chat templates.
    r"<\|[a-z_]{3,30}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|passages?|context|documents?|instructions?|user_query|assistant)>",
    r"^\s*#*\s*(?:system|assistant|ai)[ _-]?(?:prompt|message|note|directive|instructions?|override)?\s*(?:to\s+[^:\n]{1,40})?:\s*\S",
    r"\b(?:system|developer)[ _-](?:prompt|message|note|override|instruction)s?\b[^.\n]{0,40}:|\b(?:assistant|ai|llm)[_-](?:directive|instruction|note|prompt)s?\b",
    # Orders to drop what was said or found before.
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|other|these|those|your|the|given)\b.{0,30}"
    r"\b(?:instructions?|prompts?|rules?|guidelines|policy|policies|passages?|notes?|rows?|sources?|documents?|context)\b",
    r"\b(?:ignorier\w*|vergiss|missachte\w*)\b.{0,50}\b(?:anweisung\w*|instruktion\w*|regeln|quellen|notizen|dokumente)\b",
    r"\b(?:ignore[zr]?|oublie[zr]?)\b.{0,50}\b(?:consignes?|instructions?|règles|sources|notes|documents)\b",
    r"\b(?:ignora\w*|olvida\w*|dimentica\w*|esque\w+)\b.{0,50}\b(?:instruccion\w*|istruzion\w*|instruç\w*|reglas|regole|regras|fuentes|fonti|fontes|notas|note|documentos|documenti)\b",
    r"\b(?:asistente|assistente|assistent|l'assistant|asystent)\b.{0,60}\b(?:debe|deve|devi|muss|soll\w*|doit|devrait|responde\w*|antworte\w*|répond\w*|rispond\w*|moet)\b",
    # The machine is told what to say.
    rf"\b{_MACHINE}\b[^.\n]{{0,80}}\b(?:must|should|shall|has to|have to|needs? to|is to|are to|will|always|never|do not|don't|may not|is required to)\b[^.\n]{{0,12}}\b{_SPEAK}\b",
    rf"\b(?:assistant|ai|llm|bot|model)s?\s*[:,]\s*(?:please\s+|always\s+|never\s+|do not\s+)?{_SPEAK}\b",
    rf"\b{_MACHINE}\b[^.\n]{{0,40}}\b(?:gives?|writes?|says?|repeats?|quotes?|cites?|adds?|answers?)\b[^.\n]{{0,60}}\b(?:first|alone|instead|together|only|each|every|verbatim|word for word)\b",
    r"\b(?:begin|start|end|open|close|finish|prefix|append|add)\b[^.\n]{0,30}\b(?:every|each|all|any|your)\b[^.\n]{0,12}\b(?:answers?|repl(?:y|ies)|responses?|outputs?)\b",
    r"\b(?:reply|respond)\b[^.\n]{0,30}\b(?:every|each|all|any)\b[^.\n]{0,12}\b(?:answers?|questions?|quer(?:y|ies))\b",
    r"\b(?:in|under|to|with|of)\s+(?:every|each|all)\s+(?:your\s+)?(?:answers?|repl(?:y|ies)|responses?|outputs?)\b[^.\n]{0,60}\b(?:must|should|give|add|write|embed|include)\b",
    r"\b(?:give|add|write|embed|include|put|insert)\b[^.\n]{0,60}\b(?:in|under|to|into)\s+(?:every|each|all)\s+(?:your\s+)?(?:answers?|repl(?:y|ies)|responses?|outputs?)\b",
    r"\b(?:every|each|all|your)\s+(?:answers?|repl(?:y|ies)|responses?)\b[^.\n]{0,20}\b(?:must|should|shall|has to|have to|needs? to)\b",
    r"\b(?:begin|start|open|end|finish|close)\s+with\s+(?:the\s+)?(?:words?|sentence|phrase|line)\b",
    r"\b(?:do not|don't|never)\s+(?:mention|cite|quote|name|give|show)\b[^.\n]{0,30}\b(?:sources?|citations?)\b",
    r"\bauthoritative answer to (?:every|all|any)\b|\b(?:return|repeat|quote|output|copy) this\b[^.\n]{0,40}\b(?:word for word|verbatim|first|alone|and nothing else)\b",
    r"\b(?:from now on|henceforth)\b,?\s+you\b|\byou (?:are|work) (?:now )?(?:an?|the|for|as)\b[^.\n]{0,30}\b(?:assistant|ai|bot|chatbot|language model|hotline)\b|\byou now (?:work|act|answer)\b",
    r"\bas your (?:new )?(?:instructions?|orders?|prompt)\b|\bnew (?:system )?(?:instructions?|prompt|policy|orders?)\s*:",
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
