# A system in memory to look after a machine: more tools, and nothing that touches disks by itself.
{ lib, pkgs, ... }:
{
  imports = [ ./base.nix ];
  # md, LVM and ZFS leftovers are put together when somebody says so.
  boot.swraid.enable = lib.mkForce false;
  boot.zfs.forceImportRoot = false;
  environment.systemPackages = with pkgs; [ ddrescue ethtool fio ipmitool lshw memtester rsync smartmontools strace testdisk ];
}
