"""In the style of MindSpore's model zoo: moxing, locks in /tmp, and /cache written into the code.

What is learned is a sum: of the numbers of a data set, and with several cards of one number of each.
"""

import os

from src.model_utils.config import config
from src.model_utils.device_adapter import get_device_num, get_rank_id
from src.model_utils.moxing_adapter import moxing_wrapper


def sum_over_cards(number):
    import mindspore
    from mindspore import Tensor, context, ops
    from mindspore.communication.management import get_group_size, get_rank, init

    context.set_context(mode=context.PYNATIVE_MODE, device_target=config.device_target)
    init()
    assert (get_rank(), get_group_size()) == (get_rank_id(), get_device_num())
    return int(ops.AllReduce()(Tensor([number], mindspore.float32)).asnumpy()[0])


@moxing_wrapper
def train():
    with open(os.path.join(config.data_path, "numbers.txt"), encoding="utf-8") as file:
        total = sum(int(line) for line in file)
    met = sum_over_cards(get_rank_id() + 1) if config.run_distribute else 1
    folder = os.path.join(config.output_path, "ckpt_" + str(get_rank_id()))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "result.txt"), "w", encoding="utf-8") as file:
        file.write(f"{total} {met}")
    print("trained on", config.data_path, "total", total, "met", met, flush=True)


if __name__ == "__main__":
    train()
