import keras

from ofar_tf.models.keras_settings import use_standard_keras


def test_what_a_keras_json_of_the_user_says_changes_no_network() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(1e-3)
    use_standard_keras()
    layer = keras.layers.Conv2D(2, 1)
    assert (layer.data_format, layer.dtype_policy.name) == ("channels_last", "float32")
    assert (keras.config.floatx(), keras.config.epsilon()) == ("float32", 1e-7)
