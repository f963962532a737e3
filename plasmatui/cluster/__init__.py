"""The cluster's services over their APIs: health, raft groups and the quorum guard, VMs, load balancer, joining."""
