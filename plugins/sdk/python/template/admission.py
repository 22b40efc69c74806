"""__NAME__: lets so many Jobs of a queue run at once."""

import json

from wit_world.exports.meta import Description
from wit_world.imports.types import Answer, Answer_Hold, Answer_Start, Hold, Question

from windlass import answers, read_settings, schema_of

DEFAULTS = {"jobs": 10}


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


def answer(settings: dict, question: Question) -> Answer:
    running = question.in_queue.running
    if running < settings["jobs"]:
        return Answer_Start()
    queue = json.dumps(question.queue)
    return Answer_Hold(Hold(f"queue {queue} runs {running} of {settings['jobs']} Jobs", 5_000))
