"""The inventory: YAML to words, with every error at its place; node sets; secrets; edits that keep comments."""
