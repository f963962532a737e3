"""Which role a request needs: the one table that the engine enforces and that screen and command line explain with."""

from __future__ import annotations

from plasmatui.model import operation as orders
from plasmatui.model import past, pxe, requests
from plasmatui.model.checks import AskCertificates, AskChecks
from plasmatui.model.operation import Order
from plasmatui.model.requests import RequestBody
from plasmatui.model.words import Role

ORDER_ROLES: dict[type, Role] = {
    orders.PowerOrder: Role.OPERATOR,
    orders.BootDeviceOrder: Role.OPERATOR,
    orders.IdentifyOrder: Role.OPERATOR,
    orders.BootOrder: Role.OPERATOR,
    orders.DrainOrder: Role.OPERATOR,
    orders.UndrainOrder: Role.OPERATOR,
    orders.RollbackOrder: Role.OPERATOR,
    orders.RecoverOrder: Role.OPERATOR,
    orders.UpdateOrder: Role.OPERATOR,
    orders.InstallOrder: Role.ADMIN,
    orders.ProvisionOrder: Role.ADMIN,
    orders.ReprovisionOrder: Role.ADMIN,
    orders.AddOrder: Role.ADMIN,
    orders.ReplaceOrder: Role.ADMIN,
    orders.DecommissionOrder: Role.ADMIN,
    orders.CertsRotateOrder: Role.ADMIN,
    orders.SshKeysRotateOrder: Role.ADMIN,
    orders.BackupOrder: Role.ADMIN,
    orders.RestoreOrder: Role.ADMIN,
    orders.RecoverClusterOrder: Role.ADMIN,
}
"""What wipes disks, takes a machine out of the cluster or brings it in, or moves a cluster's data, is an admin's."""

REQUEST_ROLES: dict[type, Role] = {
    requests.Watch: Role.VIEWER,
    requests.Query: Role.VIEWER,
    requests.PlanOrder: Role.VIEWER,
    requests.StartOrder: Role.OPERATOR,
    requests.CancelOperation: Role.OPERATOR,
    requests.HoldOperation: Role.OPERATOR,
    requests.ReleaseOperation: Role.OPERATOR,
    requests.RetryOperation: Role.OPERATOR,
    requests.AskOperationLog: Role.VIEWER,
    requests.ListOperations: Role.VIEWER,
    requests.ListEvents: Role.VIEWER,
    requests.ListAudit: Role.VIEWER,
    requests.ConsoleOpen: Role.VIEWER,
    requests.ConsoleClose: Role.VIEWER,
    requests.ConsoleHistory: Role.VIEWER,
    requests.ConsolePen: Role.OPERATOR,
    requests.ConsoleWrite: Role.OPERATOR,
    requests.ConsoleBreak: Role.OPERATOR,
    requests.ConsoleReopen: Role.OPERATOR,
    requests.AskEngine: Role.VIEWER,
    requests.StopEngine: Role.ADMIN,
    requests.Reload: Role.ADMIN,
    requests.AskTimeline: Role.VIEWER,
    requests.ListLogs: Role.VIEWER,
    requests.FollowLogs: Role.VIEWER,
    requests.SearchLogs: Role.VIEWER,
    requests.MakeBundle: Role.ADMIN,  # written with the rights of the engine's user, wherever the request says
    requests.EnrolNode: Role.ADMIN,
    AskChecks: Role.VIEWER,
    AskCertificates: Role.VIEWER,
    requests.LookHealth: Role.VIEWER,
    requests.AskTrend: Role.VIEWER,
    requests.LookSystems: Role.VIEWER,
    requests.AskJournal: Role.VIEWER,
    requests.CheckReplication: Role.OPERATOR,  # writes into the raft groups
    pxe.AskPxeServices: Role.VIEWER,
    pxe.AskImages: Role.VIEWER,
    pxe.VerifyImage: Role.OPERATOR,  # reads whole images
    pxe.ActivateImage: Role.ADMIN,  # every machine boots it from then on
    pxe.RollBackImage: Role.ADMIN,
    pxe.AskDrift: Role.VIEWER,
    pxe.AskDriftDiff: Role.VIEWER,
    past.AskPast: Role.VIEWER,
    past.AskTimelineAt: Role.VIEWER,
    past.ConsoleAt: Role.VIEWER,
    requests.Here: Role.VIEWER,
    requests.PutNote: Role.OPERATOR,
    requests.LockNodes: Role.OPERATOR,
    requests.UnlockNodes: Role.OPERATOR,
}
"""The least that each request needs; orders, overrides and locks of others may need more: `role_of_request`."""


def role_of_order(order: Order) -> Role:
    """Who may give an order. One that nobody thought of here is an admin's."""
    return ORDER_ROLES.get(type(order), Role.ADMIN)


def role_of_request(body: RequestBody) -> Role:
    """Who may ask this. What an operation does that is only named by its number is for the engine to look up."""
    role = REQUEST_ROLES.get(type(body), Role.ADMIN)
    overrides = getattr(body, "override_quorum", "") or getattr(body, "break_lock", False)
    if overrides:
        return Role.ADMIN
    if isinstance(body, requests.StartOrder):
        return role_of_order(body.order)
    return role
