"""One machine's controller: IPMI and Redfish sessions, serial-over-LAN, and the fleet that paces them."""
