"""Sessions: opened once, opened again when they expire, ended at close; and each thing that can go wrong with them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plasmatui.bmc import redfish_http
from plasmatui.bmc.controller import BmcError, Controller
from plasmatui.inventory.secrets import Secret
from plasmatui.model.words import Power, PowerAction
from tests.unit.bmc_redfish.conftest import Make
from tests.unit.bmc_redfish.stub import PASSWORD, RESET, SYSTEM, Asked, Certificate, Reply, Stub, error, serving

SESSIONS = "/redfish/v1/SessionService/Sessions"


async def test_one_session_and_one_connection_carry_everything_and_the_session_is_deleted(
    stub: Stub, make: Make
) -> None:
    controller: Controller = make()
    await controller.connect()
    for _ in range(3):
        assert await controller.power() is Power.OFF
    assert stub.logins == 1
    assert stub.connections == 1
    await controller.close()
    assert stub.tokens == set()
    assert stub.asked[-1].method == "DELETE"
    assert stub.asked[-1].path == f"{SESSIONS}/1"


async def test_the_password_goes_only_into_the_login(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.power()
    holders = [one for one in stub.asked if PASSWORD in str(one)]
    assert [(one.method, one.path) for one in holders] == [("POST", SESSIONS)]
    assert "authorization" not in stub.asked[0].headers


async def test_a_closed_controller_can_be_used_again(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.power()
    await controller.close()
    assert await controller.power() is Power.OFF
    assert stub.logins == 2


async def test_an_expired_token_is_renewed_once_and_unseen(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.power()
    stub.tokens.clear()
    await controller.order_power(PowerAction.ON)
    assert stub.logins == 2
    assert [one.body for one in stub.seen("POST", RESET)] == [{"ResetType": "On"}]


async def test_a_token_that_never_holds_is_an_authentication_error(stub: Stub, make: Make) -> None:
    stub.on("GET", SYSTEM, error(401, "Base.1.8.NoValidSession", "There is no valid session."))
    with pytest.raises(BmcError, match="no valid session") as caught:
        await make().power()
    assert caught.value.id == "bmc-auth"
    assert stub.logins <= 2


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_service_without_sessions_gets_basic_authentication(stub: Stub, make: Make, status: int) -> None:
    stub.on("POST", SESSIONS, Reply(status))
    controller = make()
    assert await controller.power() is Power.OFF
    assert stub.asked[-1].headers["authorization"].startswith("Basic ")
    await controller.close()
    assert stub.seen("DELETE") == []


async def test_a_root_that_names_no_sessions_is_not_asked_for_one(stub: Stub, make: Make) -> None:
    del stub.resources["/redfish/v1/"]["Links"]
    assert await make().power() is Power.OFF
    assert stub.seen("POST") == []


async def test_a_session_service_named_only_by_its_service(stub: Stub, make: Make) -> None:
    stub.resources["/redfish/v1/"]["Links"] = {}
    stub.resources["/redfish/v1/"]["SessionService"] = {"@odata.id": "/redfish/v1/SessionService"}
    await make().power()
    assert stub.logins == 1


async def test_a_root_behind_a_password_still_leads_to_a_session(stub: Stub, make: Make) -> None:
    stub.on("GET", "/redfish/v1/", error(401))
    assert await make().power() is Power.OFF
    assert stub.logins == 1


async def test_a_wrong_password_is_tried_once(stub: Stub, make: Make) -> None:
    with pytest.raises(BmcError) as caught:
        await make(password=Secret(literal="hunter2-wrong")).connect()
    assert caught.value.id == "bmc-auth"
    assert caught.value.message.startswith(f"node01: BMC 127.0.0.1:{stub.port}: it refuses user admin")
    assert "hunter2" not in caught.value.message
    assert len(stub.seen("POST", SESSIONS)) == 1


async def test_a_wrong_password_with_basic_authentication(stub: Stub, make: Make) -> None:
    del stub.resources["/redfish/v1/"]["Links"]
    with pytest.raises(BmcError) as caught:
        await make(password=Secret(literal="wrong")).connect()
    assert caught.value.id == "bmc-auth"


async def test_ilo_refuses_a_password_with_400(stub: Stub, make: Make) -> None:
    stub.on("POST", SESSIONS, error(400, "iLO.2.14.UnauthorizedLoginAttempt", ""))
    with pytest.raises(BmcError) as caught:
        await make().connect()
    assert caught.value.id == "bmc-auth"


async def test_a_secret_that_cannot_be_had_names_its_source(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BmcError, match="environment variable NO_SUCH_PASSWORD is not set") as caught:
        await make(password=Secret(env="NO_SUCH_PASSWORD")).connect()
    assert caught.value.id == "bmc-auth"


@pytest.mark.parametrize(
    "reply",
    [
        error(503, "Base.1.8.SessionLimitExceeded", "The session establishment failed."),
        error(400, "IDRAC.2.8.RAC0218", "The maximum number of user sessions is reached."),
        error(503, "", "The maximum number of user sessions has been reached."),
        error(400, "Base.1.8.CreateLimitReachedForResource", "No more."),
    ],
)
async def test_no_free_session(stub: Stub, make: Make, reply: Reply) -> None:
    stub.on("POST", SESSIONS, reply)
    with pytest.raises(BmcError, match="no free session") as caught:
        await make().connect()
    assert caught.value.id == "bmc-session-limit"
    assert all("authorization" not in one.headers for one in stub.asked)


async def test_a_bmc_that_starts_is_unreachable_for_now(stub: Stub, make: Make) -> None:
    stub.on("POST", SESSIONS, Reply(503))
    with pytest.raises(BmcError, match="starting or overloaded") as caught:
        await make().connect()
    assert caught.value.id == "bmc-unreachable"


async def test_nobody_listens(make: Make, unused_tcp_port: int) -> None:
    with pytest.raises(BmcError, match="refused") as caught:
        await make(port=unused_tcp_port).connect()
    assert caught.value.id == "bmc-unreachable"


@pytest.mark.parametrize("address", ["a..b", "no such host", "x" * 300, "\x00", "[::1"])
async def test_an_address_that_is_none(make: Make, address: str) -> None:
    with pytest.raises(BmcError) as caught:
        await make(address=address).connect()
    assert caught.value.id == "bmc-unreachable"


async def test_a_bmc_that_never_answers(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_http, "SILENCE_LIMIT", 0.1)
    stub.on("GET", "/redfish/v1/", Reply(hang=True))
    with pytest.raises(BmcError, match="no answer within") as caught:
        await make().connect()
    assert caught.value.id == "bmc-unreachable"


async def test_a_bmc_that_answers_for_ever(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_http, "REQUEST_LIMIT", 0.2)
    stub.on("GET", "/redfish/v1/", Reply(raw=b"{", headers={"Content-Length": "1000"}))
    with pytest.raises(BmcError, match="no whole answer within") as caught:
        await make().connect()
    assert caught.value.id == "bmc-unreachable"


async def test_a_connection_that_drops_while_reading_is_opened_again(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.connect()
    replies = [Reply(drop=True), Reply(body=stub.system)]
    stub.on("GET", SYSTEM, lambda _: replies.pop(0))
    assert await controller.power() is Power.OFF
    assert stub.connections == 2
    assert stub.logins == 1


async def test_a_connection_that_drops_during_an_order_is_a_reset_and_the_order_is_not_repeated(
    stub: Stub, make: Make
) -> None:
    controller = make()
    stub.on("POST", RESET, Reply(drop=True))
    with pytest.raises(BmcError, match="whether it took effect is not known") as caught:
        await controller.order_power(PowerAction.ON)
    assert caught.value.id == "bmc-reset"
    assert len(stub.seen("POST", RESET)) == 1
    await controller.connect()


async def test_a_bmc_that_restarts_is_a_reset_and_then_comes_back(
    stub: Stub, make: Make, certificate: Certificate
) -> None:
    controller = make()
    await controller.connect()
    stub.on("GET", SYSTEM, Reply(drop=True))
    with pytest.raises(BmcError) as caught:
        await controller.power()
    assert caught.value.id == "bmc-reset"
    del stub.handlers["GET", SYSTEM]
    stub.tokens.clear()
    await controller.connect()
    assert stub.logins == 2


async def test_a_port_that_slams_the_door(stub: Stub, make: Make) -> None:
    stub.on("GET", "/redfish/v1/", Reply(drop=True))
    with pytest.raises(BmcError, match="closes the connection") as caught:
        await make().connect()
    assert caught.value.id == "bmc-unreachable"


async def test_a_cancelled_call_leaves_the_session_usable(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.connect()
    reached = asyncio.Event()

    def hang(_: Asked) -> Reply:
        reached.set()
        return Reply(hang=True)

    stub.on("GET", SYSTEM, hang)
    call = asyncio.create_task(controller.power(), name="a call to cancel")
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    del stub.handlers["GET", SYSTEM]
    assert await controller.power() is Power.OFF
    assert stub.logins == 1


async def test_close_does_not_wait_for_a_call_that_hangs(
    stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmatui.bmc.redfish.CLOSE_LIMIT", 0.05)
    controller = make()
    await controller.connect()
    reached = asyncio.Event()

    def hang(_: Asked) -> Reply:
        reached.set()
        return Reply(hang=True)

    stub.on("GET", SYSTEM, hang)
    call = asyncio.create_task(controller.power(), name="a call that hangs")
    await reached.wait()
    waiting = asyncio.create_task(controller.boot_device(), name="a call that waits")
    await asyncio.sleep(0)
    await controller.close()
    assert stub.tokens == set()
    assert stub.logins == 1
    for one in (call, waiting):
        with pytest.raises(BmcError, match="closed here") as caught:
            await one
        assert caught.value.id == "bmc-unreachable"


async def test_close_survives_a_bmc_that_has_gone(make: Make, certificate: Certificate) -> None:
    async with serving(Stub(), certificate) as gone:
        controller = make(port=gone.port)
        await controller.connect()
        gone.on("DELETE", f"{SESSIONS}/1", Reply(drop=True))
    await controller.close()
    assert len(gone.seen("DELETE")) == 1


async def test_calls_on_one_controller_wait_for_each_other(stub: Stub, make: Make) -> None:
    controller = make()
    await asyncio.gather(*(controller.power() for _ in range(8)))
    assert stub.connections == 1
    assert stub.logins == 1


async def test_no_cookie_is_kept(stub: Stub, make: Make) -> None:
    stub.on("GET", SYSTEM, Reply(body=stub.system, headers={"Set-Cookie": "id=1; Path=/"}))
    controller = make()
    await controller.power()
    await controller.power()
    assert all("cookie" not in one.headers for one in stub.asked)
