"""What is wrong with gold questions: phrases that any answer would hold, and questions asked twice."""

import re
from collections.abc import Iterator, Sequence

from assistant.nouns import Passage
from assistant.terms import terms
from evals.gold import Question
from evals.lint import Finding
from evals.metrics import holds, normalized

# A phrase in more of the passages than this says nothing, a single word in more than that; in a handful of passages either may.
TOO_MANY, COMMON, HANDFUL = 0.20, 0.05, 4


def lint_gold(questions: Sequence[Question], passages: Sequence[Passage]) -> list[Finding]:
    """Every finding, in order of the questions; the document of a finding is the question's id, its line 0."""
    texts = [normalized(passage.text) for passage in passages]
    found: list[Finding] = []
    asked: dict[str, str] = {}
    for question in questions:
        found += [Finding(question.id, 0, "phrase", says) for says in weak_phrases(question, texts)]
        key = normalized(" / ".join([*(turn.question for turn in question.history), question.question]))
        if key in asked:
            found.append(Finding(question.id, 0, "twice", f"the same question as {asked[key]}"))
        asked.setdefault(key, question.id)
    return found


def weak_phrases(question: Question, texts: Sequence[str]) -> Iterator[str]:
    """Why a phrase of a question's nuggets proves nothing, by the normalised texts of all passages."""
    own = normalized(question.question)
    for nugget in question.nuggets:
        for phrase in nugget.any_of:
            count = sum(holds(text, phrase) for text in texts)
            share = count / len(texts) if count > HANDFUL else 0.0
            if holds(own, phrase):
                yield f"{phrase!r} stands in the question"
            elif share > TOO_MANY:
                yield f"{phrase!r} stands in {share:.0%} of all passages"
            elif re.fullmatch(r"[^\W\d_]+", phrase.strip()) and (share > COMMON or not terms(phrase)):
                yield f"{phrase!r} is one common word"
