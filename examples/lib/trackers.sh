# shellcheck shell=bash
# Trackers beside the console and a file. Each is verl's own; each is used only when LOGGER names it or its variables are
# set; none reaches for a server unless its key is set. Keys stay in the environment.

launch::trackers() {
    local named=${LOGGER:-console,file}
    named=${named#[}
    named=${named%]}
    if [[ -z "${LOGGER:-}" ]]; then
        [[ -z "${WANDB_API_KEY:-}" && "${WANDB_MODE:-}" != offline ]] || named+=,wandb
        [[ -z "${SWANLAB_API_KEY:-}" && ! "${SWANLAB_MODE:-}" =~ ^(offline|local)$ ]] || named+=,swanlab
        [[ -z "${TENSORBOARD_DIR:-}" ]] || named+=,tensorboard
        [[ -z "${MLFLOW_TRACKING_URI:-}" ]] || named+=,mlflow
        [[ -z "${TRACKIO_SPACE_ID:-}" && -z "${TRACKIO_DIR:-}" ]] || named+=,trackio
    fi
    PLUMBING+=("trainer.logger=[${named}]")
    case ",${named// /}," in *,wandb,*)
        [[ -n "${WANDB_API_KEY:-}" ]] || launch::default WANDB_MODE offline
        launch::default WANDB_DIR "${RUN_DIR}"
        ;;
    esac
    case ",${named// /}," in *,swanlab,*)
        [[ -n "${SWANLAB_API_KEY:-}" ]] || launch::default SWANLAB_MODE offline
        launch::default SWANLAB_LOG_DIR "${RUN_DIR}/swanlab"
        ;;
    esac
    case ",${named// /}," in *,tensorboard,*) launch::default TENSORBOARD_DIR "${RUN_DIR}/tensorboard" ;; esac
    case ",${named// /}," in *,mlflow,*) launch::default MLFLOW_TRACKING_URI "sqlite:///${RUN_DIR}/mlflow.db" ;; esac
    case ",${named// /}," in *,trackio,*) launch::default TRACKIO_DIR "${RUN_DIR}/trackio" ;; esac
}
