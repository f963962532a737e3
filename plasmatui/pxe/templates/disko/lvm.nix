# One disk: EFI system partition, and a volume group with room to grow.
{ disks }:
{
  disko.devices = {
    disk.main = {
      type = "disk";
      device = builtins.head disks;
      content = {
        type = "gpt";
        partitions = {
          bios = { size = "1M"; type = "EF02"; priority = 1; };
          ESP = {
            size = "1G";
            type = "EF00";
            content = {
              type = "filesystem";
              format = "vfat";
              mountpoint = "/boot";
              mountOptions = [ "umask=0077" ];
            };
          };
          pool = { size = "100%"; content = { type = "lvm_pv"; vg = "pool"; }; };
        };
      };
    };
    lvm_vg.pool = {
      type = "lvm_vg";
      lvs = {
        root = { size = "64G"; content = { type = "filesystem"; format = "ext4"; mountpoint = "/"; }; };
        data = { size = "80%FREE"; content = { type = "filesystem"; format = "xfs"; mountpoint = "/var/lib"; }; };
      };
    };
  };
}
