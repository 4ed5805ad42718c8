"""What a run has to say to people: its page, its model card, its participants, its checklists."""
