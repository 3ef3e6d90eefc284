import pytest

from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.detection.task import Detection


@pytest.mark.parametrize("precision", ["qat", "mixed"])
def test_files_that_are_made_by_the_probabilities_of_classes_are_those_of_classifiers(precision):
    spec = ExportSpec(precisions=("float32", precision))
    spec.check_task(Classification(2))
    with pytest.raises(ValueError, match=rf"^Expected precisions that object detectors have: .*\['{precision}'\], "):
        spec.check_task(Detection(2))


def test_forms_that_a_task_has_not_are_refused():
    ExportSpec(forms=("detections", "raw")).check_task(Detection(2))
    with pytest.raises(ValueError, match=r"^Expected forms of image classifiers: none to choose\. Received: \['raw'\]"):
        ExportSpec(forms=("raw",)).check_task(Classification(2))
