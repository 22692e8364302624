"""The configured models in order, for one question: the next one is asked where one fails, within one time budget."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assistant.citations import Claim
from assistant.comparison import Comparison
from assistant.embedding import Encoder
from assistant.generation import Budget, ChatModel, Failed
from assistant.index import Index
from assistant.llm_writing import Draft, llm_writer
from assistant.nouns import Passage, Turn
from assistant.prompts import Prompt, Prompts
from assistant.query import needs_history, standalone
from assistant.retrieval import Found
from assistant.terms import terms
from assistant.writing import Quote, compares, left_out

# A rewritten question is no longer than this, in characters.
LONGEST = 400

Words = Iterator[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Models:
    """What a configuration's models need to be asked; without any, the quotes answer at once."""

    models: tuple[ChatModel, ...] = ()
    prompts: Prompts | None = None
    checked: bool = True  # False only in the evals, to show what checking is worth

    def warm(self) -> None:
        """Starts the first model where it runs on this machine."""
        if self.models:
            self.models[0].warm()


class Chain:
    """One question's way through the models. A model that failed is not asked again for it."""

    def __init__(self, models: Models, stopped: Callable[[], bool] = lambda: False) -> None:
        self._prompts = models.prompts
        self._left = list(models.models)
        self._stopped = stopped
        self._budget: Budget | None = None  # begins with the first request
        self.failures: list[str] = []  # a sentence for each model that failed
        self.notices: list[str] = []  # what a reader should know of the one that answered
        self.answered_by = ""

    def standalone(self, question: str, history: Sequence[Turn], comparison: Comparison, encoder: Encoder) -> str:
        """The question made whole: by a model where it needs that and the model invents nothing, else by rule."""
        ruled = standalone(question, history, comparison)
        while self._prompts and history and self._left and needs_history(question, comparison):
            model = self._left[0]
            prompt = self._prompts.standalone(question, history, model.profile.room, encoder.window.count)
            if prompt is None:
                break
            try:
                said = "".join(piece for piece, _ in model.words(_sent(prompt), self._share()))
            except Failed as failure:
                self._fail(model, failure)
                continue
            return rewritten(said, question, history, comparison) or ruled
        return ruled

    def write(
        self,
        index: Index,
        encoder: Encoder,
        founds: Sequence[Found],
        query: str,
        passages: Sequence[Passage],
        timed: Callable[[Words], Words] = lambda words: words,
    ) -> Iterator[Draft]:
        """Yields a model's draft as it grows; `answered_by` names the model once one has answered.

        A draft that is begun and then fails is followed by the first one of the next model, or by nothing.
        """
        assert self._prompts is not None
        while self._left:
            model = self._left[0]
            prompt = prompt_for(self._prompts, index, encoder, founds, query, passages, model.profile.room)
            try:
                if prompt is None:
                    raise Failed("has too small a window for a passage")
                draft = Draft()
                for draft in llm_writer(index, encoder, passages, timed(model.words(_sent(prompt), self._share()))):
                    if draft.stands:
                        yield draft
                if not draft.stands:
                    raise Failed("said nothing that the documents support")
            except Failed as failure:
                self._fail(model, failure)
                continue
            self.answered_by = model.profile.label
            if prompt.passages < len(passages):
                self.notices.append(
                    f"{_count(prompt.passages, 'passage')} of {len(passages)} had room in the model's window."
                )
            if draft.dropped:
                it = "it" if draft.dropped == 1 else "them"
                self.notices.append(
                    f"{_count(draft.dropped, 'sentence')} of the model left out: the documents do not support {it}."
                )
            return

    def _share(self) -> Budget:
        """The time for the next request: half of what is left where another model could follow."""
        self._budget = self._budget or Budget(self._left[0].profile.seconds)
        left = self._budget.left / (2 if len(self._left) > 1 else 1)
        return Budget(min(left, self._left[0].profile.seconds), self._stopped)

    def _fail(self, model: ChatModel, failure: Failed) -> None:
        self.failures.append(f"The model {model.profile.label} {failure}.")
        self._left.remove(model)


def prompt_for(
    prompts: Prompts,
    index: Index,
    encoder: Encoder,
    founds: Sequence[Found],
    query: str,
    passages: Sequence[Passage],
    room: int,
) -> Prompt | None:
    """What is sent for a question: for a table where it compares the two sides; None where no passage has room."""
    sides = [side.name for side in index.comparison.sides] if _table(founds, index.comparison) else []
    return prompts.answer(query, passages, sides, secrets.token_hex(4), room, encoder.window.count)


def completed(index: Index, founds: Sequence[Found], draft: Draft) -> list[Claim | Quote]:
    """The draft's sentences, and quotes for what it leaves out."""
    cited = [
        (quote.passage.document_id, quote.start, quote.end)
        for claim in draft.claims
        if claim.support == "supported"
        for quote in claim.quotes
    ]
    if any(claim.cell is not None for claim in draft.claims):
        return list(draft.claims)
    return [*draft.claims, *left_out(index, founds, cited)]


def rewritten(said: str, question: str, history: Sequence[Turn], comparison: Comparison) -> str:
    """A model's standalone question, or nothing where it is none: words of its own, words lost, or still leaning."""
    lines = [line.strip(" *\"'“”`") for line in said.splitlines() if line.strip()]
    line = lines[0].removeprefix("Rewritten:").strip(" \"'“”") if lines else ""
    known = set(terms(" ".join([question, *(part for turn in history for part in (turn.question, turn.answer))])))
    asked, kept = set(terms(question)), set(terms(line))
    whole = line and len(line) <= LONGEST and asked < kept <= known and not needs_history(line, comparison)
    return line if whole else ""


def _table(founds: Sequence[Found], comparison: Comparison) -> bool:
    return len(founds) == 1 and len(comparison.sides) == 2 and compares(founds[0], comparison)


def _sent(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in prompt.messages]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
