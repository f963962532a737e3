"""SSH to other hosts: connections and the programs that run over them."""
