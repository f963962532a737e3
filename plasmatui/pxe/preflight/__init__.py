"""Looking at PXE servers as a machine that boots does. Changes nothing on them."""
