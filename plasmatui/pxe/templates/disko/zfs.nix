# A ZFS pool over all disks, mirrored when there are several; the EFI system partition is on the first.
{ disks }:
let
  boot = {
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
  };
  member = number: {
    name = "disk${toString number}";
    value = {
      type = "disk";
      device = builtins.elemAt disks number;
      content = {
        type = "gpt";
        partitions = (if number == 0 then boot else { }) // {
          zfs = { size = "100%"; content = { type = "zfs"; pool = "rpool"; }; };
        };
      };
    };
  };
in
{
  disko.devices = {
    disk = builtins.listToAttrs (builtins.genList member (builtins.length disks));
    zpool.rpool = {
      type = "zpool";
      mode = if builtins.length disks > 1 then "mirror" else "";
      options.ashift = "12";
      rootFsOptions = { compression = "zstd"; acltype = "posixacl"; xattr = "sa"; mountpoint = "none"; };
      datasets = {
        root = { type = "zfs_fs"; mountpoint = "/"; options.mountpoint = "legacy"; };
        nix = { type = "zfs_fs"; mountpoint = "/nix"; options.mountpoint = "legacy"; };
        var = { type = "zfs_fs"; mountpoint = "/var"; options.mountpoint = "legacy"; };
      };
    };
  };
}
