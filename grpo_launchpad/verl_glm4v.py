"""GLM-4.1V under verl 0.9.1: three functions that do not fit the transformers which verl requires.

verl loads this module in every process through its entry-point group ``verl.plugins``. It imports nothing of verl; the
functions are extended when, and only where, their modules are imported.
"""

import wrapt


class _TensorFeatures:
    """A model whose vision tower answers with a tensor, for a caller that knows no other answer."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)

    @property
    def visual(self):
        tower = self._model.visual

        class Tower:
            dtype = tower.dtype

            def __call__(self, pixels, grid_thw):
                return tower(pixels, grid_thw=grid_thw).pooler_output

        return Tower()


@wrapt.when_imported("verl.models.transformers.glm4v")
def take_image_features_out_of_their_output(glm4v) -> None:
    """verl expects a tensor of image features; transformers 5 returns an object that holds it."""

    @wrapt.patch_function_wrapper(glm4v, "_get_input_embeds")
    def get_input_embeds(wrapped, instance, args, kwargs):
        model, *inputs = args
        return wrapped(_TensorFeatures(model), *inputs, **kwargs)


@wrapt.when_imported("verl.utils.fsdp_utils")
def shard_the_position_embedding_with_the_model(fsdp_utils) -> None:
    """verl makes every embedding an FSDP2 unit, which gathers its weights when it is called. GLM-4.1V's vision tower
    reads the weights of its position embedding and never calls it; as part of the root unit they are gathered in time.
    """

    @wrapt.patch_function_wrapper(fsdp_utils, "_select_fsdp2_wrap_targets")
    def select_wrap_targets(wrapped, instance, args, kwargs):
        model = args[0]
        read_only = {
            module.position_embedding for module in model.modules() if type(module).__name__ == "Glm4vVisionEmbeddings"
        }
        return [module for module in wrapped(*args, **kwargs) if module not in read_only]


@wrapt.when_imported("verl.utils.flops_counter")
def count_the_language_model(flops_counter) -> None:
    """verl counts the operations of a step from fields of the language model, which are in ``text_config`` now."""
    estimate = flops_counter.ESTIMATE_FUNC["glm4v"]

    def estimate_glm4v_flops(config, tokens_sum, batch_seqlens, delta_time):
        return estimate(config.get_text_config(), tokens_sum, batch_seqlens, delta_time)

    flops_counter.ESTIMATE_FUNC["glm4v"] = estimate_glm4v_flops
