import pytest

from ofar_tf.training.recipe import Recipe


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs", "learning_rate"),
    [
        # Sixty steps of 16 are 960 images, of 64 are 3,840.
        (10, 10, 200, 0.00781),
        (700, 16, 200, 0.0125),
        (3_000, 32, 200, 0.025),
        (12_000, 128, 167, 0.1),
        (50_000, 128, 90, 0.1),
        (1_281_167, 128, 90, 0.1),
    ],
)
def test_batches_epochs_and_rate_follow_the_number_of_images(images, batch_size, epochs, learning_rate):
    recipe = Recipe.usual(images=images)
    assert (recipe.batch_size, recipe.epochs, recipe.learning_rate) == (batch_size, epochs, learning_rate)
    assert (recipe.optimizer, recipe.body_learning_rate, recipe.head_epochs) == ("sgd", 1.0, 0)


@pytest.mark.parametrize(("images", "epochs"), [(300, 30), (3_000, 20), (50_000, 10)])
def test_pretrained_weights_need_fewer_epochs_and_a_smaller_rate(images, epochs):
    assert Recipe.usual(images=images, pretrained=True).epochs == epochs
    assert Recipe.usual(images=3_000, pretrained=True).learning_rate == 0.005


def test_fine_tuning_begins_with_the_head_and_has_a_short_search():
    recipe = Recipe.finetune(images=3_000)
    assert recipe == Recipe(
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
        optimizer="adamw",
        body_learning_rate=0.3,
        head_epochs=1,
        warmup_epochs=1.0,
        search_epochs=3,
        search_networks="sandwich",
        # 93 steps in an epoch.
        ema_momentum=0.9892,
        importance="taylor_adaptive",
    )


def test_what_is_given_stays_and_the_rest_follows_from_it():
    recipe = Recipe.finetune(images=3_000, optimizer="sgd", epochs=4, batch_size=64, importance="gamma", head_epochs=0)
    assert (recipe.learning_rate, recipe.body_learning_rate) == (0.01, 0.1)
    assert (recipe.importance, recipe.epochs, recipe.search_epochs, recipe.head_epochs) == ("gamma", 4, 2, 0)
    assert recipe.ema_momentum == 0.9783  # 46 steps.


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 7])
def test_the_shortest_runs_still_have_an_epoch_of_joint_training(epochs):
    recipe = Recipe.finetune(images=100, epochs=epochs)
    assert recipe.head_epochs + recipe.search_epochs < epochs
    assert recipe.head_epochs + recipe.warmup_epochs <= epochs


def test_no_images_are_refused():
    with pytest.raises(ValueError, match=r"at least one image to train on\. Received: images=0"):
        Recipe.finetune(images=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": "adam"}, r"^Expected an optimizer of sgd, adamw\. Received: 'adam'\.$"),
        ({"epochs": 0}, r"^Expected at least one epoch, .* Received: epochs=0, "),
        ({"batch_size": 0}, r"one image in a batch .* Received: .*, batch_size=0, "),
        ({"learning_rate": 0.0}, r"a positive learning rate\. Received: .*, learning_rate=0\.0\.$"),
    ],
)
@pytest.mark.parametrize("make", [Recipe.usual, Recipe.finetune])
def test_what_makes_no_sense_is_refused(make, given, message):
    with pytest.raises(ValueError, match=message):
        make(images=100, **given)
