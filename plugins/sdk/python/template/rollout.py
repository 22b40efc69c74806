"""__NAME__: updates broken nodes first, then one at a time, and none while a Pod is not available."""

from wit_world.exports.meta import Description
from wit_world.imports.types import Answer, Answer_Pause, Answer_Update, Hold, Question, Update

from windlass import answers, ask_again, read_settings, schema_of

DEFAULTS = {"askAgainMs": 30_000}


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
    old = [position for position, node in enumerate(question.nodes) if node.state == "old"]
    # What a bad release has broken makes way for the next one, or the rollout would wait for it for ever.
    broken = [position for position in old if not question.nodes[position].available]
    if broken:
        return Answer_Update(Update(broken, None, None))
    for node in question.nodes:
        if not node.available:
            return Answer_Pause(Hold(f"{node.name} is not available", ask_again(settings["askAgainMs"])))
    return Answer_Update(Update(old[:1], None, None))
