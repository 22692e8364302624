"""Each row is one idea: what a source supports, beside what only looks like it."""

import json
from typing import NamedTuple

import pytest

from assistant.alignment import Signals
from assistant.comparison import Comparison, Side
from assistant.support import WEIGHTS, judge, load_weights, measure
from evals.support import DEV, digest, load_entries
from evals.support import measure as measure_all

TRAVEL = Comparison((Side("Trains", ("train", "railway")), Side("Planes", ("plane", "aircraft"))))


class Row(NamedTuple):
    idea: str
    headings: tuple[str, ...]
    quote: str
    true: str
    false: str


ROWS = [
    Row(
        "negation put in",
        ("Library",),
        "The library lends books to visitors from abroad.",
        "Visitors from abroad can borrow books, which the library lends to them.",
        "The library does not lend books to visitors from abroad.",
    ),
    Row(
        "negation left out",
        ("Museum",),
        "Visitors may not touch the statues.",
        "Touching the statues is not permitted to visitors.",
        "Visitors may touch the statues.",
    ),
    Row(
        "never",
        ("Greenhouse",),
        "The heating is never switched off in January.",
        "The heating is not switched off in January.",
        "The heating is switched off in January.",
    ),
    Row(
        "without",
        ("Membership",),
        "Members enter the hall without a ticket.",
        "No ticket is needed by members to enter the hall.",
        "Members enter the hall with a ticket, but never without a guide.",
    ),
    Row(
        "double negation",
        ("Archive",),
        "Every drawer of the archive contains a catalogue.",
        "There is no drawer of the archive that does not contain a catalogue.",
        "No drawer of the archive contains a catalogue.",
    ),
    Row(
        "negated opposite",
        ("Rope",),
        "The new rope is strong.",
        "The new rope is not weak.",
        "The new rope is not strong.",
    ),
    Row(
        "no as the object",
        ("Safe",),
        "The fire destroyed no documents.",
        "No documents were destroyed by the fire.",
        "The fire destroyed the documents.",
    ),
    Row("opposite", ("Ferry",), "The ferry is fast.", "The ferry is quick.", "The ferry is slow."),
    Row(
        "opposite verbs",
        ("Orchestra",),
        "The grant allows the orchestra to tour.",
        "The orchestra is enabled to tour by the grant.",
        "The grant forbids the orchestra to tour.",
    ),
    Row(
        "before and after",
        ("Kitchen",),
        "The dough is cooled before the butter is added.",
        "The dough is cooled before the butter.",
        "The dough is cooled after the butter is added.",
    ),
    Row(
        "a negating prefix",
        ("Hotel",),
        "The terrace is suitable for weddings.",
        "For weddings the terrace is suitable.",
        "The terrace is unsuitable for weddings.",
    ),
    Row(
        "same and different",
        ("Choir",),
        "Both choirs sing in different halls.",
        "The choirs sing in halls that are not the same.",
        "Both choirs sing in the same hall.",
    ),
    Row(
        "shared and own",
        ("Flats",),
        "The flats share a garden.",
        "The flats have a common garden.",
        "The flats each have a separate garden.",
    ),
    Row(
        "growth",
        ("Sales",),
        "The new label increased sales of the cheese.",
        "Sales of the cheese grew with the new label.",
        "The new label reduced sales of the cheese.",
    ),
    Row(
        "number",
        ("Stadium",),
        "The stadium seats 4200 spectators.",
        "The stadium has seats for 4200 spectators.",
        "The stadium seats 5200 spectators.",
    ),
    Row(
        "thousands",
        ("Stadium",),
        "The stadium seats 4,200 spectators.",
        "The stadium seats 4200 spectators.",
        "The stadium seats 42,000 spectators.",
    ),
    Row(
        "number word",
        ("Quartet",),
        "The quartet recorded twelve albums.",
        "The quartet recorded 12 albums.",
        "The quartet recorded 14 albums.",
    ),
    Row(
        "unit conversion",
        ("Shutter",),
        "The shutter opens within 250 ms.",
        "The shutter opens within 0.25 seconds.",
        "The shutter opens within 250 seconds.",
    ),
    Row(
        "minutes and hours",
        ("Parking",),
        "Parking is free for two hours.",
        "Parking is free for 120 minutes.",
        "Parking is free for two minutes.",
    ),
    Row(
        "size",
        ("Camera",),
        "A picture takes up 2000 kB.",
        "A picture takes up 2 MB.",
        "A picture takes up 2 GB.",
    ),
    Row(
        "year",
        ("Bridge",),
        "The bridge opened in 1932.",
        "In 1932 the bridge opened.",
        "The bridge opened in 1933.",
    ),
    Row(
        "difference of two numbers",
        ("School",),
        "The number of pupils fell from 500 to 420.",
        "The number of pupils fell by 80, from 500.",
        "The number of pupils fell by 90, from 500.",
    ),
    Row(
        "bound",
        ("Lift",),
        "The lift carries at most 8 people.",
        "The lift carries no more than 8 people.",
        "The lift carries at least 8 people.",
    ),
    Row(
        "bound with a negation",
        ("Permit",),
        "A permit is valid for at most 30 days.",
        "A permit is not valid for more than 30 days.",
        "A permit is valid for more than 30 days.",
    ),
    Row(
        "to and by",
        ("Budget",),
        "The budget was cut to 40 percent.",
        "The budget was reduced to 40 percent.",
        "The budget was cut by 40 percent.",
    ),
    Row(
        "name",
        ("Concerts",),
        "The concert was conducted by Abbado in Lucerne.",
        "Abbado conducted the concert in Lucerne.",
        "The concert was conducted by Karajan in Lucerne.",
    ),
    Row(
        "product name",
        ("Printing",),
        "Posters are printed with LinoPress in the cellar.",
        "LinoPress prints the posters in the cellar.",
        "Posters are printed with InkJet9 in the cellar.",
    ),
    Row(
        "subject by heading",
        ("Travel", "Trains"),
        "They arrive in the centre of the city.",
        "Trains arrive in the centre of the city.",
        "Planes arrive in the centre of the city.",
    ),
    Row(
        "side",
        (),
        "Trains are comfortable on short journeys.",
        "On short journeys, trains are comfortable.",
        "Planes are comfortable on short journeys.",
    ),
    Row(
        "side, named by another word",
        (),
        "The railway is comfortable on short journeys.",
        "Trains are comfortable on short journeys.",
        "Planes are comfortable on short journeys.",
    ),
    Row(
        "sides exchanged across a contrast",
        (),
        "Trains leave every hour from platform nine, while planes depart twice a week from the coast.",
        "Trains leave every hour from platform nine.",
        "Planes leave every hour from platform nine.",
    ),
    Row(
        "comparative turned round",
        (),
        "Trains are cheaper than planes.",
        "Planes are more expensive than trains.",
        "Planes are cheaper than trains.",
    ),
    Row(
        "not as … as",
        (),
        "Trains are slower than planes.",
        "Trains are not as fast as planes.",
        "Planes are not as fast as trains.",
    ),
    Row(
        "more and fewer",
        (),
        "Trains stop in more towns than planes.",
        "Planes stop in fewer towns than trains.",
        "Trains stop in fewer towns than planes.",
    ),
    Row(
        "more and less of an adjective",
        ("Paint",),
        "The second coat dries more quickly.",
        "The second coat dries faster.",
        "The second coat dries less quickly.",
    ),
    Row(
        "comparison of things without a side",
        ("Wood",),
        "Oak boards are heavier than pine boards.",
        "Pine boards are lighter than oak boards.",
        "Pine boards are heavier than oak boards.",
    ),
    Row(
        "only",
        ("Pool",),
        "The pool is open to members and guests.",
        "The pool is open to guests.",
        "The pool is open to members only.",
    ),
    Row(
        "every for some",
        ("Bakeries",),
        "Some bakeries open on Sunday.",
        "There are bakeries that open on Sunday.",
        "All bakeries open on Sunday.",
    ),
    Row(
        "exactly one",
        ("Doors",),
        "Several keys fit the cellar door.",
        "The cellar door is fitted by several keys.",
        "Exactly one key fits the cellar door.",
    ),
    Row(
        "passive",
        ("Court",),
        "The judge questioned the witness.",
        "The witness was questioned by the judge.",
        "The witness questioned the judge.",
    ),
    Row(
        "from whom",
        ("Post",),
        "The museum receives paintings from the academy.",
        "Paintings are received from the academy by the museum.",
        "The academy receives paintings from the museum.",
    ),
    Row(
        "abbreviation in the claim",
        ("Health",),
        "The patient must be examined at the emergency room.",
        "The patient must be examined at the ER.",
        "The patient must be examined at the pharmacy.",
    ),
    Row(
        "abbreviation in the source",
        ("Health",),
        "The ICU is closed to visitors.",
        "The intensive care unit is closed to visitors.",
        "The intensive care unit is open to visitors.",
    ),
    Row(
        "one word exchanged",
        ("Roof",),
        "The roof is covered with copper tiles against the rain.",
        "Copper tiles cover the roof against the rain.",
        "The roof is covered with straw tiles against the rain.",
    ),
    Row(
        "a part",
        ("Garden",),
        "The garden has a fountain, a rose bed and a small pavilion.",
        "The garden has a rose bed.",
        "The garden has a tennis court.",
    ),
    Row(
        "another reason",
        ("Ferry",),
        "The ferry was cancelled because the harbour was frozen.",
        "As the harbour was frozen, the ferry was cancelled.",
        "The ferry was cancelled because the captain had fallen ill.",
    ),
    Row(
        "nothing to do with it",
        ("Ferry",),
        "The ferry was cancelled because the harbour was frozen.",
        "Since the harbour was frozen, the ferry was cancelled.",
        "Tulips flower in spring.",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.idea for row in ROWS])
def test_one_is_supported_and_the_other_is_not(row, encoder):
    true = judge(row.true, row.quote, row.headings, encoder, TRAVEL)
    false = judge(row.false, row.quote, row.headings, encoder, TRAVEL)

    assert true.score > false.score, (true, false)
    assert true.state != "unsupported", true
    assert false.state != "supported", false
    assert false.reasons


@pytest.mark.parametrize("row", ROWS, ids=[row.idea for row in ROWS])
def test_a_claim_equal_to_its_quote_is_supported(row, encoder):
    assert judge(row.quote, row.quote, row.headings, encoder, TRAVEL).state == "supported"
    assert judge(row.quote, f"**{row.quote}**", (), encoder).state == "supported"


@pytest.mark.parametrize("claim", ["", " ", "…", "**"])
def test_an_empty_claim_is_unsupported(claim, encoder):
    assert judge(claim, "The ferry is fast.", ("Ferry",), encoder).state == "unsupported"
    assert judge(claim, claim, (), encoder).state == "unsupported"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("number", "the number 5200 is not in the source"),
        ("opposite", 'says the opposite of "fast"'),
        ("side", "said of the other side"),
        ("negation put in", 'the source does not say "not"'),
        ("negation left out", 'the source says "not"'),
        ("name", 'the name "karajan" is not in the source'),
    ],
)
def test_the_reason_is_named(row, reason, encoder):
    row = next(one for one in ROWS if one.idea == row)
    assert any(one.startswith(reason) for one in judge(row.false, row.quote, row.headings, encoder, TRAVEL).reasons)


def test_the_state_falls_with_the_score():
    weights = load_weights()
    order = {"unsupported": 0, "weak": 1, "supported": 2}
    ranks = [order[weights.state(step / 100)] for step in range(101)]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_every_signal_speaks_the_way_it_is_meant():
    weights = json.loads(WEIGHTS.read_text("utf-8"))["weights"]
    assert {name for name, weight in weights.items() if weight > 0} == {"cosine", "coverage"}
    assert weights.keys() == set(Signals.__annotations__)


def test_signals_lie_between_0_and_1(encoder):
    for row in ROWS:
        signals, _ = measure(row.false, row.quote, row.headings, encoder, TRAVEL)
        assert all(0 <= getattr(signals, name) <= 1 for name in Signals.__annotations__), signals


def test_a_judgement_depends_on_its_texts_alone(encoder):
    row = ROWS[0]
    assert len({judge(row.false, row.quote, row.headings, encoder, TRAVEL) for _ in range(3)}) == 1


@pytest.mark.parametrize(
    "claim", ["a" * 5000, "not " * 500, "1 " * 2000, "« ¿ » 東京 — 5 °C", "than than as as", "unless"]
)
def test_odd_texts_are_judged_too(claim, encoder):
    assert judge(claim, "The ferry is fast.", (), encoder, TRAVEL).state != "supported"
    judge("The ferry is fast.", claim, (claim,), encoder, TRAVEL)


def test_the_weights_are_those_fitted_on_dev():
    fitted_on = json.loads(WEIGHTS.read_text("utf-8"))["fitted_on"]
    assert fitted_on == {"file": DEV.name, "sha256": digest(DEV)}


def test_the_hand_written_pairs_are_told_apart(encoder, repository):
    from assistant.corpus import load_corpus

    measured = measure_all(load_entries(DEV), encoder, load_corpus(repository / "corpus").comparison)
    assert measured["check"]["auroc"]["value"] >= 0.8
    assert measured["check"]["contradictions_supported"]["share"] <= 0.1
    assert measured["check"]["paraphrases_unsupported"]["share"] <= 0.15
    assert measured["check"]["auroc"]["value"] > measured["lexical"]["auroc"]["value"]
