# One disk: EFI system partition and ext4.
{ disks }:
{
  disko.devices.disk.main = {
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
        root = {
          size = "100%";
          content = { type = "filesystem"; format = "ext4"; mountpoint = "/"; };
        };
      };
    };
  };
}
