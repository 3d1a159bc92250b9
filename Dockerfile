# The runner as an ordinary user, on a project that is mounted at /project.
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home runner

WORKDIR /opt/runner
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY runner runner
COPY tasks tasks
RUN pip install --no-cache-dir --constraint constraints.txt '.[notify]'

USER runner
WORKDIR /project
# orphans of open tasks need a parent that buries them; -s: also where an init is there already
ENTRYPOINT ["tini", "-s", "--", "runner"]
CMD ["up"]
