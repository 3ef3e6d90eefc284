"""Says what this machine has and what will not work on it; a report of a fault should have its output.

ofar doctor
"""

import dataclasses
import json
import os

from ofar_tf import flags
from ofar_tf.run.doctor_config import DoctorConfig
from ofar_tf.text.quiet import quiet_start

# As they were given: a command sets KERAS_BACKEND right for itself.
_VARIABLES = dict(os.environ)


def main(config: DoctorConfig) -> int:
    """Runs the command; its status is 1 if something will not work."""
    from ofar_tf.run.diagnosis import diagnose

    with quiet_start():
        findings = diagnose(_VARIABLES)
    problems = [finding for finding in findings if finding.problem]
    if config.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
        return 1 if problems else 0
    for topic in dict.fromkeys(finding.topic for finding in findings):
        print(f"{topic}:")
        for finding in findings:
            if finding.topic == topic:
                print(f"  {'! ' if finding.problem else '  '}{finding.text}")
    plural = "s" * (len(problems) != 1)
    print(f"{len(problems)} problem{plural}, marked with !" if problems else "No problem was found.")
    return 1 if problems else 0


if __name__ == "__main__":
    flags.run(main, DoctorConfig)
