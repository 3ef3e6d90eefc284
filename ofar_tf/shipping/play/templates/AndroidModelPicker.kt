package ofar

import android.content.Context
import android.content.SharedPreferences
import android.os.Build
import java.io.InputStream
import java.nio.ByteBuffer
import org.tensorflow.lite.Interpreter

/**
 * [ModelPicker] on Android: reads the pack's folder, measures with LiteRT, remembers in SharedPreferences.
 *
 * The default [open] serves packs that are delivered at install time. For fast-follow and on-demand packs pass
 * `{ File(location.assetsPath(), "{{ pack_name }}/$it").inputStream() }` with the location that `AiPackManager` gives.
 * Measuring takes a second or so at the first start: do not create or call this on the main thread.
 */
class AndroidModelPicker(
    context: Context,
    private val threads: Int = 4,
    private val open: (String) -> InputStream = assetsOf(context),
) {
    /** What this device received. */
    val tier: Tier = Tier.parse(open("tier.json").use { it.readBytes() }.toString(Charsets.UTF_8))

    private val memory = PreferencesMemory(context.getSharedPreferences("ofar_model_picker", Context.MODE_PRIVATE))

    /** Returns the model for this device. */
    fun pick(): Choice = ModelPicker(tier, memory, ::measureMs).pick()

    /** Loads a model; close it after use. */
    fun load(model: ModelFile): Interpreter =
        Interpreter(readModel(model, open), Interpreter.Options().setNumThreads(threads))

    private fun measureMs(model: ModelFile): Double = load(model).use { interpreter ->
        val image = ByteBuffer.allocateDirect(interpreter.getInputTensor(0).numBytes())
        val scores = ByteBuffer.allocateDirect(interpreter.getOutputTensor(0).numBytes())
        medianMs {
            image.rewind()
            scores.rewind()
            interpreter.run(image, scores)
        }
    }
}

private fun assetsOf(context: Context): (String) -> InputStream {
    val assets = context.createPackageContext(context.packageName, 0).assets
    return { name -> assets.open("{{ pack_name }}/$name") }
}

/** Forgets everything after a system update: drivers change, and latencies with them. */
private class PreferencesMemory(private val preferences: SharedPreferences) : Memory {
    init {
        if (preferences.getString(SYSTEM, null) != Build.FINGERPRINT) {
            preferences.edit().clear().putString(SYSTEM, Build.FINGERPRINT).apply()
        }
    }

    override fun get(name: String): String? = preferences.getString(name, null)

    override fun set(name: String, value: String) = preferences.edit().putString(name, value).apply()

    private companion object {
        const val SYSTEM = "system"
    }
}
