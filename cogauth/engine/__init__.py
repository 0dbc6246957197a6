"""The commands' interface: ``up``, ``plan``, ``down``, ``recover``, ``attach`` and ``detach``."""

from cogauth.attach.attach import Attached, Wanted, attach, plan_attach
from cogauth.attach.detach import Detached, attached_apis, detach, plan_detach
from cogauth.attach.model import Api, ApiPlan, MethodChange, Skip, choose, read_api
from cogauth.attach.work import ATTACH_CLIENTS
from cogauth.engine.down import DownResult, down
from cogauth.engine.down_plan import DOWN_CLIENTS, DownPlan, plan_down
from cogauth.engine.plan import plan
from cogauth.engine.recover import recover
from cogauth.engine.reporting import Reporter, ResourcePlan, StepResult, UpPlan
from cogauth.engine.tasks import UP_CLIENTS
from cogauth.engine.up import up
from cogauth.steps.lookup import FoundResource, check_names, is_complete, name_conflicts, survey
