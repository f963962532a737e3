# Installer of workers: what is needed to see whether a machine can run virtual machines.
{ pkgs, ... }:
{
  imports = [ ./base.nix ];
  boot.kernelModules = [ "kvm-intel" "kvm-amd" ];
  environment.systemPackages = with pkgs; [ ethtool numactl ];
}
