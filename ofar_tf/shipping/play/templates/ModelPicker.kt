package ofar

import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import org.json.JSONObject

/** One TFLite file of a tier, as `tier.json` lists it. */
data class ModelFile(
    val file: String,
    val sha256: String,
    val bytes: Long,
    val height: Int,
    val width: Int,
    val precision: String,
    val macs: Long,
)

/**
 * What this device received: its models, the one to try first at the front, each cheaper than the one before.
 *
 * Without a budget the first model is taken as it is and nothing is measured.
 */
data class Tier(
    val name: String,
    val budgetMs: Double?,
    val labels: List<String>,
    val models: List<ModelFile>,
) {
    init {
        require(models.isNotEmpty()) { "Expected at least one model in tier $name. Received: none." }
    }

    companion object {
        /** Reads `tier.json`. */
        fun parse(json: String): Tier {
            val tier = JSONObject(json)
            val version = tier.getInt("schema_version")
            require(version == 1) { "Expected schema_version 1 in tier.json. Received: $version." }
            val labels = tier.getJSONArray("labels")
            val models = tier.getJSONArray("models")
            return Tier(
                name = tier.getString("tier"),
                budgetMs = if (tier.isNull("budget_ms")) null else tier.getDouble("budget_ms"),
                labels = List(labels.length()) { labels.getString(it) },
                models = List(models.length()) { modelOf(models.getJSONObject(it)) },
            )
        }

        private fun modelOf(entry: JSONObject) = ModelFile(
            file = entry.getString("file"),
            sha256 = entry.getString("sha256"),
            bytes = entry.getLong("bytes"),
            height = entry.getJSONObject("input").getJSONArray("shape").getInt(1),
            width = entry.getJSONObject("input").getJSONArray("shape").getInt(2),
            precision = entry.getString("precision"),
            macs = entry.getLong("macs"),
        )
    }
}

/** What the app keeps between two starts: texts by name. */
interface Memory {
    operator fun get(name: String): String?

    operator fun set(name: String, value: String)
}

/** The model to use, its latency on this device (null where there is no budget), and whether that is within it. */
data class Choice(val model: ModelFile, val latencyMs: Double?, val withinBudget: Boolean)

/**
 * Picks the first model of a tier whose latency, measured on this device, is within the tier's budget.
 *
 * Each model is measured once: latencies are remembered under the checksum of the file, so a new file is measured anew
 * and a new budget needs no measurement. A model that fails to run is passed over, and tried again at the next start.
 */
class ModelPicker(
    private val tier: Tier,
    private val memory: Memory,
    private val measureMs: (ModelFile) -> Double,
) {
    /** Returns the choice; where no model is within the budget, the fastest. Throws if none runs. */
    fun pick(): Choice {
        val budget = tier.budgetMs ?: return Choice(tier.models.first(), null, withinBudget = true)
        val slow = mutableListOf<Pair<ModelFile, Double>>()
        var failure: Exception? = null
        for (model in tier.models) {
            val latency = try {
                latencyOf(model)
            } catch (error: Exception) {
                failure = error
                continue
            }
            if (latency <= budget) return Choice(model, latency, withinBudget = true)
            slow += model to latency
        }
        val (model, latency) = slow.minByOrNull { it.second }
            ?: throw IllegalStateException("Expected a model of tier ${tier.name} that runs. Received: none.", failure)
        return Choice(model, latency, withinBudget = false)
    }

    private fun latencyOf(model: ModelFile): Double {
        val name = "latency_ms.${model.sha256}"
        return memory[name]?.toDoubleOrNull() ?: measureMs(model).also { memory[name] = it.toString() }
    }
}

/** Runs something a few times unseen, then [runs] times, and returns the median in milliseconds. */
fun medianMs(warmUp: Int = 3, runs: Int = 15, nanoTime: () -> Long = System::nanoTime, run: () -> Unit): Double {
    require(runs > 0) { "Expected at least one run. Received: runs=$runs." }
    repeat(warmUp) { run() }
    val times = List(runs) {
        val start = nanoTime()
        run()
        nanoTime() - start
    }.sorted()
    return (times[(runs - 1) / 2] + times[runs / 2]) / 2 / 1e6
}

/** Reads a model into the kind of buffer that LiteRT takes, and refuses any file but the one that was packaged. */
fun readModel(model: ModelFile, open: (String) -> InputStream): ByteBuffer {
    val content = open(model.file).use { it.readBytes() }
    val sha256 = MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }
    require(sha256 == model.sha256) { "Expected ${model.file} with SHA-256 ${model.sha256}. Received: $sha256." }
    val buffer = ByteBuffer.allocateDirect(content.size).order(ByteOrder.nativeOrder())
    buffer.put(content)
    buffer.rewind()
    return buffer
}
