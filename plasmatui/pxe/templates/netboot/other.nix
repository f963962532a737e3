# Installer of nodes of a profile of the site.
{ ... }:
{
  imports = [ ./base.nix ];
}
