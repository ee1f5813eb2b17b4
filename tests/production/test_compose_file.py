"""What docker-compose.yaml promises, without starting anything."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.production.compose import FILE, REPOSITORY, MissingVariable, new_env, read, replicas

ONE_OFF = {"postgres-init", "airflow-init", "demo-init"}
SECRETS = sorted(name for name in new_env() if name.endswith(("_PASSWORD", "_KEY", "_SECRET")) and not name.startswith("DEMO"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return read(new_env())["services"]


def test_the_file_is_what_the_compose_specification_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_docker_compose_reads_it(tmp_path: Any) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not installed; the file is held against the specification's schema all the same")
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in new_env().items()), encoding="utf-8")
    command = [
        "docker",
        "compose",
        "--env-file",
        str(tmp_path / ".env"),
        "--file",
        str(FILE),
        "--profile",
        "demo",
        "config",
        "--quiet",
    ]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_stops_with_a_sentence_that_names_it(name: str) -> None:
    with pytest.raises(MissingVariable, match=rf"^{name} is not set: write an \.env with deploy/new-env\.sh > \.env$"):
        read(new_env() | {name: ""})


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    variables = new_env()
    for name in SECRETS:
        (tmp_path / name).write_text(f"{variables.pop(name)}\n", encoding="utf-8")
    (tmp_path / "README").write_text("not a variable", encoding="utf-8")
    script = str(REPOSITORY / "deploy" / "from-files.sh")
    command = ["bash", script, str(tmp_path), sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    path = {"PATH": os.environ["PATH"]}

    found = json.loads(subprocess.run(command, env=path | variables, capture_output=True, check=True, text=True).stdout)

    assert {name: found[name] for name in SECRETS} == {name: (tmp_path / name).read_text().strip() for name in SECRETS}
    assert "README" not in found
    airflow = read(found)["services"]["airflow-worker"]["environment"]
    assert airflow["AIRFLOW__CORE__FERNET_KEY"] == found["AIRFLOW_FERNET_KEY"]
    (tmp_path / SECRETS[0]).unlink()
    without = json.loads(subprocess.run(command, env=path | variables, capture_output=True, check=True, text=True).stdout)
    with pytest.raises(MissingVariable, match=f"^{SECRETS[0]} is not set"):
        read(without)


def test_no_secret_has_a_default() -> None:
    text = FILE.read_text(encoding="utf-8")
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    secret = {name: default for name, default in defaults.items() if re.search("PASSWORD|KEY|SECRET|TOKEN|URI", name)}
    assert set(secret.values()) == {""}
    assert re.search(r"(?i)password: *['\"]?\w", text) is None


def test_a_new_env_has_every_variable_of_the_file_with_an_explanation_and_no_other() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", FILE.read_text(encoding="utf-8"))) - {"WEBFLOW_IMAGE_TAG"}
    assert set(new_env()) == used
    blocks = re.split(r"\n(?=#)|\n\n", (REPOSITORY / ".env.example").read_text(encoding="utf-8"))
    assert [block for block in blocks if "=" in block and not block.lstrip().startswith("#")] == []


def test_each_new_env_has_secrets_of_its_own() -> None:
    one, other = new_env(), new_env()
    assert all(one[name] != other[name] and len(one[name]) >= 40 for name in SECRETS)


def test_everything_listens_on_loopback_alone_until_told_otherwise() -> None:
    variables = {name: value for name, value in new_env().items() if name != "AIRFLOW_BIND"}
    ports = [port for service in read(variables)["services"].values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:8080:8080", "127.0.0.1:8090:8090"]


def test_every_service_is_bounded_in_memory_and_comes_back(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "mem_limit" in service, name
        assert service["restart"] == ("no" if name in ONE_OFF else "unless-stopped"), name
        assert "healthcheck" in service or name in ONE_OFF, name


def test_nothing_runs_as_root_or_can_become_it(services: dict[str, Any]) -> None:
    """The images of PostgreSQL and Redis begin as root; Airflow's does not, and its Dockerfile says no other user."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "devices", "pid", "network_mode", "userns_mode", "ipc"} & service.keys(), name
        image = service["image"].split(":")[0]
        assert service.get("user") == {"postgres": "postgres", "redis": "redis"}.get(image), name
        assert "docker.sock" not in str(service.get("volumes")), name


def test_what_is_not_airflow_cannot_write_its_own_image(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "AIRFLOW__CORE__EXECUTOR" not in service["environment"]:
            assert service["read_only"] is True, name
            assert "/tmp" in service["tmpfs"], name


def test_no_secret_is_in_a_command_or_a_health_check() -> None:
    variables = {
        name: f"canary-of-{name.lower()}" if name.endswith(("PASSWORD", "KEY", "SECRET", "TOKEN", "URI")) else value
        for name, value in new_env().items()
    }
    for name, service in read(variables)["services"].items():
        words = [*service["command"], *service.get("healthcheck", {}).get("test", ())] if "command" in service else []
        assert "canary" not in str(words), name


def test_the_password_of_the_broker_reaches_it_by_a_pipe(tmp_path: Path, services: dict[str, Any]) -> None:
    server = tmp_path / "redis-server"
    server.write_text('#!/bin/sh\ncat "$1"; shift; echo "|$@|"; tr "\\0" " " </proc/$$/cmdline\n', encoding="utf-8")
    server.chmod(0o755)
    done = subprocess.run(
        [*services["redis"]["command"], "--port", "1"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": "canary"},
        capture_output=True,
        text=True,
        check=True,
    )
    configuration, options, command_line = done.stdout.split("|")
    assert (configuration, options) == ("requirepass canary", "--appendonly yes --port 1")
    assert "canary" not in command_line


def test_every_image_names_a_version(services: dict[str, Any]) -> None:
    others = {service["image"] for service in services.values() if not service["image"].startswith("webflow")}
    assert all(re.search(r":\d", image) for image in others), others


def test_postgres_is_healthy_once_it_answers_over_tcp(services: dict[str, Any]) -> None:
    """The image's first server, which makes the database, listens on the socket alone, where pg_isready asks by default."""
    kind, program, *words = services["postgres"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "pg_isready")
    assert dict(zip(words[::2], words[1::2], strict=True))["--host"] == "127.0.0.1"


def test_every_start_has_as_many_workers_as_the_env_says(services: dict[str, Any]) -> None:
    assert {name: replicas(service) for name, service in services.items() if replicas(service) != 1} == {"airflow-worker": 3}
    assert replicas(read(new_env() | {"AIRFLOW_WORKERS": "5"})["services"]["airflow-worker"]) == 5
    production = (REPOSITORY / "docs" / "production.md").read_text(encoding="utf-8")
    assert "--scale" not in production, "the next docker compose up without it would end the others"


def test_databases_and_roles_are_apart(services: dict[str, Any]) -> None:
    metadata = {service["environment"].get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "") for service in services.values()} - {""}
    ledgers = {service["environment"].get("AIRFLOW_CONN_WEBFLOW_LEDGER", "") for service in services.values()} - {""}
    logins = {url.split("//")[1].split(":")[0] + "/" + url.rsplit("/", 1)[1] for url in metadata | ledgers}
    assert logins == {"airflow/airflow", "webflow_worker/webflow", "webflow_page/webflow"}
    holders = {name for name, service in services.items() if "webflow_owner" in str(service["environment"].values())}
    assert holders == {"airflow-init"}


def test_the_versions_of_airflow_agree() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    image = re.search(r"^ARG AIRFLOW_IMAGE=apache/airflow:slim-([\d.]+)-python", dockerfile, re.MULTILINE)
    lock = re.search(r"^apache-airflow==([\d.]+)", (REPOSITORY / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert image is not None
    assert lock is not None
    assert image[1] == lock[1]


def images_of_others(variables: dict[str, str]) -> set[str]:
    """What is fetched from a registry: images that are not built here, and what those are built on."""
    services = read(variables)["services"].values()
    fetched = {service["image"] for service in services if "build" not in service}
    return fetched | {service["build"]["args"]["AIRFLOW_IMAGE"] for service in services if "build" in service}


def test_every_image_of_others_can_be_pinned_by_its_digest_in_env() -> None:
    names = ("AIRFLOW_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE")
    usual = new_env()
    without = {name: value for name, value in usual.items() if name not in names}
    assert images_of_others(without) == images_of_others(usual) == {usual[name] for name in names}
    pinned = {name: f"{usual[name]}@sha256:{number}" for number, name in enumerate(names)}
    assert images_of_others(usual | pinned) == set(pinned.values())
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert f"\nARG AIRFLOW_IMAGE={usual['AIRFLOW_IMAGE']}\nFROM ${{AIRFLOW_IMAGE}} AS production\n" in dockerfile


def test_nothing_in_the_image_is_made_as_root() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER", dockerfile, re.MULTILINE) is None
    assert all("--chown=airflow:root" in line for line in dockerfile.splitlines() if line.startswith("COPY"))


def test_the_image_gets_what_the_product_needs_and_no_more() -> None:
    allowed = [
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    copied = set(re.findall(r"^COPY --chown=\S+ (\S+)", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {path.split("/")[0] for path in copied} == set(allowed)
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_file_has_no_variable_that_this_reading_of_it_does_not_understand() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert not re.findall(r"\$\{\w+(?!:-|:\?)[^}\w][^}]*\}", text)
    assert yaml.safe_load(text)["name"] == "webflow-offsite-conversions"
