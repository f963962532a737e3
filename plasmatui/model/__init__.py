"""The words: what nodes, readings, orders, operations, events and messages are. Imports nothing of ours."""
