"""verl's agent loop with less Python for each sample.

Plugged in through ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``. On two cores verl's own pays about
14 ms a sample before and after the engine's work, most of a tiny model's step; on GPUs that is hidden behind the
engine's. What is generated, scored and stored is the same. Written for verl 0.9.1
(``verl/experimental/agent_loop/agent_loop.py``, ``verl/trainer/ppo/v1/agent_loop_tq.py``).
"""

import asyncio
import functools
from dataclasses import dataclass, field

import hydra
import ray
import transfer_queue
from verl.experimental.agent_loop.agent_loop import AgentLoopManager, DictConfigWrap, ToolListWrap, _agent_loop_registry
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.rollout_trace import rollout_trace_attr
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

# Ray offers no subclass of an actor class, but the class that was made an actor.
_AgentLoopWorkerTQ = AgentLoopWorkerTQ.__ray_metadata__.modified_class.__ray_actor_class__


@dataclass
class _Waiting:
    """What waits to be put into one partition, with the same fields.

    Attributes:
        keys, tags, fields: a row each; no fields where only tags are put.
        done: is set when the rows are stored, or could not be.
    """

    keys: list[str] = field(default_factory=list)
    tags: list[dict] = field(default_factory=list)
    fields: list[dict] = field(default_factory=list)
    done: asyncio.Future = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupedPuts:
    """TransferQueue's interface, whose puts wait for the one before and then go together.

    A put is three round trips, whether of one row or of hundreds. Stands for the module ``transfer_queue`` in the
    module of verl's worker, which has no other seam between a sample and its storage.
    """

    def __init__(self):
        self._waiting: dict[tuple, _Waiting] = {}
        self._putting: asyncio.Task | None = None

    def __getattr__(self, name):
        return getattr(transfer_queue, name)

    async def async_kv_put(self, key: str, partition_id: str, tag: dict) -> None:
        await self._put(partition_id, [key], [tag], [])

    async def async_kv_batch_put(self, keys: list, fields: list[dict], tags: list[dict], partition_id: str) -> None:
        await self._put(partition_id, keys, tags, fields)

    async def _put(self, partition: str, keys: list[str], tags: list[dict], fields: list[dict]) -> None:
        names = tuple(fields[0]) if fields else ()
        waiting = self._waiting.setdefault((partition, names), _Waiting())
        waiting.keys += keys
        waiting.tags += tags
        waiting.fields += fields
        if self._putting is None:
            self._putting = asyncio.create_task(self._put_all())
        await waiting.done

    async def _put_all(self) -> None:
        while self._waiting:
            (partition, names), waiting = next(iter(self._waiting.items()))
            del self._waiting[partition, names]
            try:
                fields = list_of_dict_to_tensordict(waiting.fields) if waiting.fields else None
                await transfer_queue.async_kv_batch_put(
                    keys=waiting.keys, fields=fields, tags=waiting.tags, partition_id=partition
                )
            except Exception as error:
                waiting.done.set_exception(error)
            else:
                waiting.done.set_result(None)
        self._putting = None


class LeanAgentLoopWorker(_AgentLoopWorkerTQ):
    """verl's worker, which for each sample does not compose the configuration with Hydra again, does not ask an actor
    which engine it may use where there is one, and does not put the sample alone.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._number_of_engines() == 1:
            self.llm_client._acquire_server = self._acquire_the_server
            self.llm_client._release_server = lambda *_, **__: None
        self._server = None
        agent_loop_tq.tq = GroupedPuts()
        agent_loop_tq.list_of_dict_to_tensordict = list  # once a put, not once a sample

    def _number_of_engines(self) -> int:
        trainer, rollout = self.config.trainer, self.config.actor_rollout_ref.rollout
        devices_of_one = (
            rollout.tensor_model_parallel_size * rollout.data_parallel_size * rollout.pipeline_model_parallel_size
        )
        return trainer.nnodes * trainer.n_gpus_per_node // devices_of_one

    async def _acquire_the_server(self, request_id: str, **fields) -> tuple[str, ray.actor.ActorHandle]:
        if self._server is None:
            self._server = await type(self.llm_client)._acquire_server(self.llm_client, request_id, **fields)
        return self._server

    @functools.cached_property
    def _parts(self) -> dict:
        return {
            "trainer_config": DictConfigWrap(config=self.config),
            "server_manager": self.llm_client,
            "tokenizer": self.tokenizer,
            "processor": self.processor,
            "hf_model_type": self.hf_model_type,
            "dataset_cls": self.dataset_cls,
            "data_config": DictConfigWrap(self.config.data),
            "tools": ToolListWrap(self.tools),
        }

    @functools.cache  # noqa: B019  (a worker lives as long as its process)
    def _constructor(self, agent_name: str):
        settings = dict(_agent_loop_registry[agent_name])
        agent_loop = hydra.utils.get_class(settings.pop("_target_"))
        return functools.partial(agent_loop, **settings, **self._parts)

    async def _run_agent_loop(self, sampling_params, trajectory, *, agent_name, trace=True, **kwargs):
        with rollout_trace_attr(name="agent_loop", trace=trace, **trajectory):
            output = await self._constructor(agent_name)().run(sampling_params, **kwargs)
            return await self._agent_loop_postprocess(output, trajectory["validate"], **kwargs)


class LeanAgentLoopManager(AgentLoopManagerTQ):
    """verl's manager, with :class:`LeanAgentLoopWorker`; for the older trainer, without TransferQueue, verl's own."""

    @classmethod
    def create(cls, config, **kwargs):
        if not config.trainer.use_v1:
            return AgentLoopManager.create(config=config, **kwargs)
        return super().create(config=config, **kwargs)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(LeanAgentLoopWorker)
