"""__NAME__: fires once an hour."""

from componentize_py_types import Err
from wit_world.exports.meta import Description
from wit_world.imports.types import Answer, Answer_Fires, Firing, Question

from windlass import answers, read_settings, schema_of

DEFAULTS = {"minute": 30}


class Meta:
    def describe(self) -> Description:
        return Description("__NAME__", "0.1.0", schema_of(DEFAULTS), [], [])

    def validate_settings(self, decision: str, settings: str) -> None:
        """Called when the settings are bound; what is raised as Err says what to mend."""
        if read_settings(settings, DEFAULTS)["minute"] > 59:
            raise Err("settings: minute is from 0 to 59")


class Policy:
    def decide(self, settings: str, questions: list[Question]) -> list[Answer]:
        """One answer a question, in their order. Err(why) means that there is none."""
        bound = read_settings(settings, DEFAULTS)
        return answers(questions, lambda question: answer(bound, question))


# Seconds of an hour.
HOUR_S = 3600


def answer(settings: dict, question: Question) -> Answer:
    offset_s = settings["minute"] * 60
    # The numbers of the first and of the last hour whose instant is in the window.
    first = (question.after_s - offset_s) // HOUR_S + 1
    last = (question.until_s - offset_s) // HOUR_S
    count = max(last - first + 1, 0)
    kept = min(count, question.limit)
    start = last - kept + 1 if question.latest else first
    at_s = [hour * HOUR_S + offset_s for hour in range(start, start + kept)]
    return Answer_Fires(Firing(at_s, count > kept))
