# Installer of control-plane nodes. Services are installed with the system, not with the image.
{ ... }:
{
  imports = [ ./base.nix ];
}
