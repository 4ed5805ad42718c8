"""What the predictions of a model are worth, as plain values: what assessment.json holds.

Every number with an interval is an estimate: ``{"value", "low", "high", "resamples", "method", "note"}``. `value` is
null where it is undefined, `low` and `high` where there is no interval, and `note` then says why. `method` says how
the interval came about; `resamples` is 0 where a formula gave it. No number is ever NaN or infinite.

::

    format         1
    drawn          whether the photographs are drawn, so that the scores say nothing of real ones
    unit           "photo" or "patient": what the summary counts; "patient" where one has several photos
    settings       level, resamples, seed, pooling
    counts         photos, anaemic, not_anaemic, patients, unnamed (photos whose patient the data do not name, each a
                   patient of its own), clusters (independent sets of photos), unlabelled (left out)
    photos         unit, n, n_positive, n_negative, clusters, prevalence
      confusion    tp, fp, tn, fn
      scores       estimates: auroc, average_precision, prevalence, sensitivity, specificity, ppv, npv, lr_positive,
                   lr_negative, balanced_accuracy, f1, mcc, acc, brier, log_loss; each has beside it `other`, an
                   estimate by another method (the bootstrap beside DeLong and Wilson, or these beside it), or null
      curves       roc: false_positive_rate, sensitivity, band_at, band_low, band_high, level, note
                   precision_recall: recall, precision, note
    patients       the same by patient, from a patient's pooled logits; null where that is the same or impossible
    patients_note  why `patients` is null; else empty
    threshold      value, values, varies (whether folds differ in it; `value` is their mean), rule, reached (whether
                   all could follow it), failed (how many could not), note, photos and anaemic (those that it was
                   chosen on; of several folds the mean)
    calibration    photos; scaling: method, slope, intercept, temperature (of several folds the mean), models, fitted
                   (how many of these models have a scaling that photos chose), note, varies
      before       intercept, slope, observed_expected (estimates), undefined (why these have no value; else empty),
                   ece: value, by_chance, bins (photos, anaemic, probability); or null
                   brier: brier, miscalibration, discrimination, uncertainty; or null
                   reliability: photos, anaemic, probability, observed, low, high, ici, e50, e90, knots, resamples,
                   level, note
                   histogram: edges, anaemic, not_anaemic
      after        the same of the calibrated probabilities; null where all logits stay as they are
    usefulness     note (what was done to the probabilities of the baselines and of the network)
      curve        photos, anaemic, thresholds, net_benefit, low, high (each by predictor: "the network", "test all",
                   "test none", baselines), resamples, level, note
      at_threshold threshold, net_benefit, tests_avoided (net reduction in tests per 1,000 people against testing all,
                   missed anaemias counted against it; by predictor); null where the threshold varies
    populations    people (1,000), unit, sensitivity, specificity (estimates)
      rows         prevalence, ppv, npv, referred, found, missed, needlessly_referred (estimates)
    subgroups      threshold, absent (columns that were asked for and are not there)
      columns      name, title, events_only (it follows from the label and tells of sensitivity alone), note
        groups     name, n, events, clusters, small (which clusters are too few to judge it; else empty), auroc,
                   sensitivity, specificity, observed_expected (estimates)
      worst        by score: column, group, estimate; or null
      across_sites column, left_out (whether each was kept from training), sites, estimate, prediction (where a further
                   site's AUROC may lie), tau, note; null without several sites
    baselines      a list: name, kind (colour, shortcut, chance or oracle), auroc, difference (the network's less this
                   one's), p, p_holm, delong (difference, low, high, z, p, note), sentence
    baselines_note which of a cross-validation's are left out, and why; else empty
    colour         name (of the better of those that see colour alone), beaten (true, false, or null where that is not
                   known), sentence
    uncertainty
      conformal    alpha, answers (how many there are: a photo counts once in each repeat), note, coverage (anaemic,
                   not_anaemic), sets (neither, not anaemic, anaemic, either), mean_size, abstained, answered (n, acc,
                   sensitivity, specificity); null without sets
      risk_coverage photos, coverage, risk, aurc, best_aurc
    sample_size    unit, anaemic, not_anaemic, enough, half_width (of the AUROC's interval)
    warnings       sentences
    summary        sentences, the most important first
"""
