# Two disks or more, mirrored by md: EFI system partition and ext4.
{ disks }:
let
  member = number: {
    name = "disk${toString number}";
    value = {
      type = "disk";
      device = builtins.elemAt disks number;
      content = {
        type = "gpt";
        partitions = {
          bios = { size = "1M"; type = "EF02"; priority = 1; };
          ESP = { size = "1G"; type = "EF00"; content = { type = "mdraid"; name = "boot"; }; };
          root = { size = "100%"; content = { type = "mdraid"; name = "root"; }; };
        };
      };
    };
  };
in
{
  disko.devices = {
    disk = builtins.listToAttrs (builtins.genList member (builtins.length disks));
    mdadm = {
      boot = {
        type = "mdadm";
        level = 1;
        # At the end of the partition, so that firmware sees a plain file system.
        metadata = "1.0";
        content = {
          type = "filesystem";
          format = "vfat";
          mountpoint = "/boot";
          mountOptions = [ "umask=0077" ];
        };
      };
      root = {
        type = "mdadm";
        level = 1;
        content = { type = "filesystem"; format = "ext4"; mountpoint = "/"; };
      };
    };
  };
}
