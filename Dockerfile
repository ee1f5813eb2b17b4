# syntax=docker/dockerfile:1
# One image for every service of docker-compose.yaml and for the Helm chart. The version of Airflow is the lock's.
# The slim image brings Airflow alone, so that every provider is the lock's, too. Nothing runs as root.
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11
FROM ${AIRFLOW_IMAGE} AS production

COPY --chown=airflow:root requirements.lock /tmp/build/
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/build/requirements.lock

COPY --chown=airflow:root pyproject.toml /tmp/build/
COPY --chown=airflow:root setup.py /tmp/build/
COPY --chown=airflow:root plugins/webflow_conversions /tmp/build/plugins/webflow_conversions
RUN pip install --no-cache-dir --no-deps --no-build-isolation /tmp/build && pip check

COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root include /opt/airflow/include
COPY --chown=airflow:root deploy /opt/airflow/deploy
RUN rm -rf /tmp/build && mkdir -p /opt/airflow/logs

# The simulated Webflow and the sample warehouse; for docker compose --profile demo.
FROM production AS demo
COPY --chown=airflow:root demo /opt/airflow/demo
RUN mkdir -p /opt/airflow/simulator
ENV PYTHONPATH=/opt/airflow
WORKDIR /opt/airflow
