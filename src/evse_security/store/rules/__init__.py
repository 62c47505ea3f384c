"""The rules: (snapshot, request, now) -> a decision, or a refusal. Pure."""
