// The AI pack: Play gives each device the folder of its group, src/main/assets/{{ pack_name }}#group_GROUP.
// Groups, the first that fits: {{ chosen | map(attribute="tier.group") | join(", ") }}.
plugins { id("com.android.ai-pack") }

aiPack {
    packName.set("{{ pack_name }}")
    dynamicDelivery { deliveryType.set("{{ delivery }}") }
}
