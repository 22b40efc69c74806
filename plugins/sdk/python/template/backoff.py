"""__NAME__: doubles the delay after each failure, with jitter."""

from wit_world.exports.meta import Description
from wit_world.imports.types import Answer, Answer_RetryAfterMs, Answer_Stop, Question

from windlass import Jitter, answers, log, read_settings, schema_of

DEFAULTS = {"baseMs": 10_000}


class Meta:
    def describe(self) -> Description:
        return Description("__NAME__", "0.1.0", schema_of(DEFAULTS), [], [])

    def validate_settings(self, decision: str, settings: str) -> None:
        """Called when the settings are bound; what is raised as Err says what to mend."""
        read_settings(settings, DEFAULTS)


class Policy:
    def decide(self, settings: str, questions: list[Question]) -> list[Answer]:
        """One answer a question, in their order. Err(why) means that there is none."""
        bound = read_settings(settings, DEFAULTS)
        return answers(questions, lambda question: answer(bound, question))


# Longest delay, milliseconds.
MAX_MS = 600_000


def answer(settings: dict, question: Question) -> Answer:
    if question.exit_code == 2:
        return Answer_Stop("exit code 2 means wrong usage")
    longest_ms = min(settings["baseMs"] * 2 ** min(max(question.failures, 1) - 1, 20), MAX_MS)
    delay_ms = Jitter(question.seed).between(longest_ms // 2, longest_ms)
    log.detail(f"failure {question.failures}: {delay_ms} ms of {longest_ms}")
    return Answer_RetryAfterMs(delay_ms)
