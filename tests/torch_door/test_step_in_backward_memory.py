"""The memory of a step within the backward pass: velocities are made together, before gradients come and go."""

import torch

import downslope.torch


def test_the_memory_of_all_velocities_is_made_at_the_first_gradient():
    """Made at the first gradient of the first backward pass, each velocity's memory serves it from then on.

    Made one by one, between a gradient that was freed and the next, they would leave holes in the C library's heap that
    no later gradient fits. How much of the heap is used again is a matter of chance even so; that is not tested.
    """
    model = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(3)))
    optimizer = downslope.torch.SGD(model.parameters(), lr=0.1, momentum=0.9, step_in_backward=True)
    places = []

    def look(_):
        made = [
            optimizer.state[p].get("momentum_buffer", optimizer.reserved.get((id(p), "momentum_buffer")))
            for p in model.parameters()
        ]
        places.append([None if velocity is None else velocity.data_ptr() for velocity in made])

    for param in model.parameters():
        param.register_post_accumulate_grad_hook(look)
    model(torch.ones(2, 4)).square().mean().backward()
    assert None not in places[0]
    assert places == [places[0]] * 6
    assert [optimizer.state[p]["momentum_buffer"].data_ptr() for p in model.parameters()] == places[0]
    assert not optimizer.reserved
