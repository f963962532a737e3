"""What a Linux kernel writes to a serial console while it starts: seconds since its start, and the line.

Placeholders in braces are filled by `boottext`.
"""

from __future__ import annotations

_TEXT = """\
0.000000|Linux version {kernel} (nixbld@localhost) (gcc (GCC) 14.3.0) #1-NixOS SMP PREEMPT_DYNAMIC
0.000000|Command line: {cmdline}
0.000000|BIOS-provided physical RAM map:
0.000000|BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable
0.000000|BIOS-e820: [mem 0x0000000000100000-0x00000000007fffff] usable
0.000000|BIOS-e820: [mem 0x0000000000800000-0x0000000000807fff] ACPI NVS
0.000000|BIOS-e820: [mem 0x0000000000900000-0x000000007eab9fff] usable
0.000000|BIOS-e820: [mem 0x000000007eaba000-0x000000007eb7afff] reserved
0.000000|BIOS-e820: [mem 0x000000007f76d000-0x000000007f77efff] ACPI data
0.000000|BIOS-e820: [mem 0x00000000b0000000-0x00000000bfffffff] reserved
0.000000|BIOS-e820: [mem 0x0000000100000000-0x{memory_end:016x}] usable
0.000000|NX (Execute Disable) protection: active
0.000000|{efi}
0.000000|SMBIOS 3.3.0 present.
0.000000|DMI: {maker} {product}/{board}, BIOS {bios} 05/14/2025
0.000000|tsc: Detected 2850.000 MHz processor
0.000000|last_pfn = 0x{last_pfn:x} max_arch_pfn = 0x400000000
0.000000|x86/PAT: Configuration [0-7]: WB  WC  UC- UC  WB  WP  UC- WT
0.000000|RAMDISK: [mem 0x5befb000-0x7c23afff]
0.000000|ACPI: Early table checksum verification disabled
0.000000|ACPI: RSDP 0x000000007F77E014 000024 (v02 {oem} )
0.000000|ACPI: XSDT 0x000000007F77D0E8 00004C (v01 {oem}  {board}  00000001      01000013)
0.000000|ACPI: FACP 0x000000007F779000 0000F4 (v03 {oem}  {board}  00000001 AMI  00010013)
0.000000|ACPI: APIC 0x000000007F778000 000078 (v01 {oem}  {board}  00000001 AMI  00010013)
0.000000|ACPI: Reserving FACP table memory at [mem 0x7f779000-0x7f7790f3]
0.000000|No NUMA configuration found
0.000000|Zone ranges:
0.000000|  DMA      [mem 0x0000000000001000-0x0000000000ffffff]
0.000000|  DMA32    [mem 0x0000000001000000-0x00000000ffffffff]
0.000000|  Normal   [mem 0x0000000100000000-0x{memory_end:016x}]
0.000000|Movable zone start for each node
0.000000|Early memory node ranges
0.000000|  node   0: [mem 0x0000000000001000-0x000000000009ffff]
0.000000|  node   0: [mem 0x0000000000100000-0x00000000007fffff]
0.000000|ACPI: PM-Timer IO Port: 0x608
0.000000|IOAPIC[0]: apic_id 0, version 32, address 0xfec00000, GSI 0-23
0.000000|ACPI: Using ACPI (MADT) for SMP configuration information
0.000000|smpboot: Allowing {cpus} CPUs, 0 hotplug CPUs
0.000000|setup_percpu: NR_CPUS:384 nr_cpumask_bits:{cpus} nr_cpu_ids:{cpus} nr_node_ids:1
0.000000|Kernel command line: {cmdline}
0.000000|Dentry cache hash table entries: 131072 (order: 8, 1048576 bytes, linear)
0.000000|Memory: {memory_free}K/{memory_total}K available (16384K kernel code, 2327K rwdata, 8348K rodata, 2612K init)
0.000000|SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs={cpus}, Nodes=1
0.000000|rcu: Preemptible hierarchical RCU implementation.
0.000000|NR_IRQS: 24832, nr_irqs: 256, preallocated irqs: 16
0.000000|Console: colour dummy device 80x25
0.000000|printk: legacy console [tty0] enabled
0.000000|printk: legacy console [ttyS0] enabled
0.016000|ACPI: Core revision 20240827
0.048000|APIC: Switch to symmetric I/O mode setup
0.051088|Calibrating delay loop (skipped), value calculated using timer frequency.. 5700.00 BogoMIPS (lpj=2850000)
0.106951|Last level iTLB entries: 4KB 512, 2MB 255, 4MB 127
0.107555|Spectre V2 : Mitigation: Retpolines
0.113901|x86/fpu: Supporting XSAVE feature 0x001: 'x87 floating point registers'
0.292965|pid_max: default: 32768 minimum: 301
0.354181|landlock: Up and running.
0.367213|AppArmor: AppArmor initialized
0.410242|smpboot: CPU0: {cpu} (family: 0x19, model: 0x1, stepping: 0x1)
0.414280|smp: Bringing up secondary CPUs ...
0.596617|smp: Brought up 1 node, {cpus} CPUs
0.646166|devtmpfs: initialized
0.678833|futex hash table entries: 8192 (order: 7, 524288 bytes, linear)
0.717784|DMA: preallocated 4096 KiB GFP_KERNEL pool for atomic allocations
0.725795|audit: type=2000 audit(1.272:1): state=initialized audit_enabled=0 res=1
0.741994|cpuidle: using governor menu
0.766937|PCI: Using configuration type 1 for base access
0.905130|ACPI: Added _OSI(Module Device)
0.975125|ACPI: Interpreter enabled
1.029471|ACPI: PCI Root Bridge [PCI0] (domain 0000 [bus 00-ff])
1.042735|PCI host bridge to bus 0000:00
1.145471|pci 0000:00:00.0: [8086:29c0] type 00 class 0x060000 conventional PCI endpoint
1.181915|ACPI: PCI: Interrupt link LNKA configured for IRQ 10
1.199296|iommu: Default domain type: Translated
1.220641|pps_core: LinuxPPS API ver. 1 registered
1.221281|PTP clock support registered
1.232990|clocksource: Switched to clocksource tsc-early
1.300408|VFS: Disk quotas dquot_6.6.0
1.312629|pnp: PnP ACPI: found 6 devices
1.351259|IP idents hash table entries: 262144 (order: 9, 2097152 bytes, linear)
1.406348|TCP established hash table entries: 524288 (order: 10, 4194304 bytes, linear)
1.407038|TCP: Hash tables configured (established 524288 bind 65536)
1.413005|NET: Registered PF_XDP protocol family
1.423029|Trying to unpack rootfs image as initramfs...
1.453952|workingset: timestamp_bits=36 max_order=24 bucket_order=0
1.488134|Key type asymmetric registered
1.865246|Freeing initrd memory: {initrd}K
1.917390|Block layer SCSI generic (bsg) driver version 0.4 loaded (major 247)
1.951942|Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled
1.954342|00:03: ttyS0 at I/O 0x3f8 (irq = 4, base_baud = 115200) is a 16550A
1.965389|i8042: PNP: No PS/2 controller found.
1.993534|rtc_cmos 00:04: registered as rtc0
2.060375|NET: Registered PF_INET6 protocol family
2.082394|Segment Routing with IPv6
2.085069|NET: Registered PF_PACKET protocol family
2.193192|registered taskstats version 1
2.193763|Loading compiled-in X.509 certificates
2.197128|evm: HMAC attrs: 0x1
2.426001|tsc: Refined TSC clocksource calibration: 2849.998 MHz
2.507612|Freeing unused kernel image (initmem) memory: 2612K
2.508011|Write protecting the kernel read-only data: 26624k
2.524209|x86/mm: Checked W+X mappings: passed, no W+X pages found.
2.524556|Run /init as init process"""

KERNEL_LINES: tuple[tuple[float, str], ...] = tuple(
    (float(line.partition("|")[0]), line.partition("|")[2]) for line in _TEXT.splitlines()
)
