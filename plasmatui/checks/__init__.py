"""The checklist that asks machines and servers. Looks only: nothing here changes a machine."""
