# Installer of machines that run everything: what control plane and workers have.
{ pkgs, ... }:
{
  imports = [ ./base.nix ];
  boot.kernelModules = [ "kvm-intel" "kvm-amd" ];
  environment.systemPackages = with pkgs; [ ethtool numactl ];
}
