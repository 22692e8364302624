# Not built in CI; tests/test_deployment.py reads it. How to run it: docs/deployment.md
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 \
    ASSISTANT_INDEX=/data/index \
    ASSISTANT_FEEDBACK=off
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# The CPU build of torch is most of the image; its layer stays while the constraints do.
COPY Makefile constraints.txt ./
RUN make .venv/.torch
COPY pyproject.toml README.md LICENSE ./
COPY assistant assistant/
COPY corpus corpus/
COPY prompts prompts/
RUN make run-setup \
 && .venv/bin/python -m pip install -c constraints.txt -e .[mcp]
# The index, and the encoder's one-time export, so that a container is ready in seconds.
RUN .venv/bin/assistant index

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent assistant
# Root's: whoever answers can change neither the code nor the documents.
COPY --from=build /app /app
COPY --from=build --chown=10001:10001 /data /data
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ASSISTANT_HOST=0.0.0.0 \
    ASSISTANT_INDEX=/data/index \
    ASSISTANT_FEEDBACK=/data/feedback.sqlite3
USER 10001:10001
VOLUME ["/data"]
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 7860, timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["assistant", "serve"]
