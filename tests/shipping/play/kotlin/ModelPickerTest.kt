import java.io.ByteArrayInputStream
import ofar.Choice
import ofar.Memory
import ofar.ModelFile
import ofar.ModelPicker
import ofar.Tier
import ofar.medianMs
import ofar.readModel

class MapMemory(val texts: MutableMap<String, String> = mutableMapOf()) : Memory {
    override fun get(name: String): String? = texts[name]

    override fun set(name: String, value: String) {
        texts[name] = value
    }
}

fun model(file: String) = ModelFile(file, "sha_of_$file", 1000, 24, 32, "int8", 100)

val tier = Tier("high", 10.0, listOf("cat", "dog"), listOf(model("large"), model("middle"), model("small")))

class Phone(vararg latencies: Pair<String, Double>) {
    private val latencies = mapOf(*latencies)
    val measured = mutableListOf<String>()

    fun measureMs(model: ModelFile): Double {
        measured += model.file
        return latencies[model.file] ?: throw IllegalArgumentException("${model.file} does not run")
    }
}

fun pick(phone: Phone, memory: Memory = MapMemory(), tier: Tier = ::tier.get()): Choice =
    ModelPicker(tier, memory, phone::measureMs).pick()

fun expect(expected: Any?, received: Any?) = check(expected == received) { "Expected $expected. Received: $received." }

fun refusal(run: () -> Unit): String =
    try {
        run()
        "nothing was refused"
    } catch (error: RuntimeException) {
        error.message ?: ""
    }

val tests = mapOf<String, () -> Unit>(
    "a fast phone takes the first model and measures no other" to {
        val phone = Phone("large" to 10.0)
        expect(Choice(model("large"), 10.0, true), pick(phone))
        expect(listOf("large"), phone.measured)
    },
    "a slow phone steps down to the first model within the budget" to {
        val phone = Phone("large" to 10.1, "middle" to 9.0, "small" to 1.0)
        expect(Choice(model("middle"), 9.0, true), pick(phone))
        expect(listOf("large", "middle"), phone.measured)
    },
    "where nothing is within the budget the fastest is taken" to {
        val phone = Phone("large" to 40.0, "middle" to 20.0, "small" to 21.0)
        expect(Choice(model("middle"), 20.0, false), pick(phone))
    },
    "what was measured is remembered" to {
        val memory = MapMemory()
        pick(Phone("large" to 12.5, "middle" to 9.0), memory)
        expect(mapOf("latency_ms.sha_of_large" to "12.5", "latency_ms.sha_of_middle" to "9.0"), memory.texts)
        val later = Phone()
        expect(Choice(model("middle"), 9.0, true), pick(later, memory))
        expect(emptyList<String>(), later.measured)
    },
    "a larger budget steps up again without a measurement" to {
        val memory = MapMemory()
        pick(Phone("large" to 12.5, "middle" to 9.0), memory)
        expect(Choice(model("large"), 12.5, true), pick(Phone(), memory, tier.copy(budgetMs = 13.0)))
    },
    "a new file under an old name is measured anew" to {
        val memory = MapMemory(mutableMapOf("latency_ms.sha_of_large" to "50.0"))
        val update = tier.copy(models = listOf(model("large").copy(sha256 = "new"), model("small")))
        expect(Choice(update.models[0], 3.0, true), pick(Phone("large" to 3.0), memory, update))
    },
    "a memory that cannot be read is measured over" to {
        val memory = MapMemory(mutableMapOf("latency_ms.sha_of_large" to "fast"))
        expect(Choice(model("large"), 3.0, true), pick(Phone("large" to 3.0), memory))
    },
    "a model that does not run is passed over and not remembered" to {
        val memory = MapMemory()
        expect(Choice(model("small"), 2.0, true), pick(Phone("small" to 2.0), memory))
        expect(setOf("latency_ms.sha_of_small"), memory.texts.keys)
    },
    "an app none of whose models runs is told so" to {
        expect("Expected a model of tier high that runs. Received: none.", refusal { pick(Phone()) })
    },
    "without a budget the first model is taken and nothing is measured" to {
        val phone = Phone()
        expect(Choice(model("large"), null, true), pick(phone, tier = tier.copy(budgetMs = null)))
        expect(emptyList<String>(), phone.measured)
    },
    "a tier without models is refused" to {
        expect(
            "Expected at least one model in tier high. Received: none.",
            refusal { tier.copy(models = emptyList()) },
        )
    },
    "a json of another version is refused" to {
        expect(
            "Expected schema_version 1 in tier.json. Received: 2.",
            refusal { Tier.parse("""{"schema_version": 2}""") },
        )
    },
    "the median leaves the warm-up out" to {
        // 2 calls to warm up, then 3, 1, 8 and 2 ms: the median is 2.5.
        val lasts = listOf(100, 100, 3, 1, 8, 2).iterator()
        var now = 0L
        expect(2.5, medianMs(warmUp = 2, runs = 4, nanoTime = { now }) { now += lasts.next() * 1_000_000L })
        expect(false, lasts.hasNext())
    },
    "a model is read whole and checked" to {
        val abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of FIPS 180-2
        val buffer = readModel(model("m").copy(sha256 = abc)) { ByteArrayInputStream("abc".toByteArray()) }
        expect(listOf('a', 'b', 'c'), List(buffer.remaining()) { buffer.get(it).toInt().toChar() })
        expect(true, buffer.isDirect)
        expect(
            "Expected m with SHA-256 $abc. Received: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881.",
            refusal { readModel(model("m").copy(sha256 = abc)) { ByteArrayInputStream("x".toByteArray()) } },
        )
    },
)

/** Runs the tests; given a `tier.json`, prints what is read from it instead. */
fun main(arguments: Array<String>) {
    if (arguments.isNotEmpty()) {
        val read = Tier.parse(java.io.File(arguments[0]).readText())
        println("${read.name} ${read.budgetMs} ${read.labels} ${read.models}")
        return
    }
    for ((name, test) in tests) {
        test()
        println("passed: $name")
    }
}
