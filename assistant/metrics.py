"""What a server counts, as Prometheus reads it: stages, answers, refusals, dropped sentences, errors, questions in flight."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from assistant.nouns import Answer

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Quotes take hundredths of a second, a small model on a processor up to a minute.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one server; nothing in them names a question or who asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stages = Histogram(
            "assistant_stage_seconds",
            "Seconds of an answer's stages.",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._answers = Counter("assistant_answers", "Answers given.", ["written_by"], registry=self.registry)
        self._refusals = Counter(
            "assistant_refusals", "Questions that the documents do not answer.", registry=self.registry
        )
        self._dropped = Counter(
            "assistant_dropped_sentences", "Sentences of a model that nothing supports.", registry=self.registry
        )
        self._errors = Counter(
            "assistant_errors", "Questions that ended in an error.", ["type"], registry=self.registry
        )
        self.in_flight = Gauge("assistant_in_flight", "Questions being answered.", registry=self.registry)
        self.waiting = Gauge("assistant_waiting", "Questions waiting for that.", registry=self.registry)

    def answered(self, answer: Answer) -> None:
        for stage, milliseconds in answer.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)
        if answer.refused:
            self._refusals.inc()
        else:
            self._answers.labels(answer.answered_by).inc()
        self._dropped.inc(answer.dropped)

    def failed(self, error: Exception) -> None:
        self._errors.labels(type(error).__name__).inc()

    def text(self) -> str:
        return generate_latest(self.registry).decode()
