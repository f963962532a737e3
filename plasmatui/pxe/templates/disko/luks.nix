# One disk: EFI system partition, and ext4 in LUKS. The key is given to the installation alone:
#   nixos-anywhere --disk-encryption-keys /tmp/disk.key FILE
# At boot the passphrase is asked for on the console, unless another way is set in the node's local.nix.
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
        luks = {
          size = "100%";
          content = {
            type = "luks";
            name = "crypted";
            # Never asked for during the installation, where nobody could answer.
            passwordFile = "/tmp/disk.key";
            settings.allowDiscards = true;
            content = { type = "filesystem"; format = "ext4"; mountpoint = "/"; };
          };
        };
      };
    };
  };
}
