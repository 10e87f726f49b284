"""OpenI's business codes (the list of the server's source), and what each means for a call. Pure.

The envelope's HTTP status is 200 whatever the code. Codes without advice belong to pages of the web site that
no job touches.
"""

from __future__ import annotations

from mindlift.cloud.codes import EVERY, NONE, Code, passing

QUEUE_CODES = ("2004",)  # too many jobs at once: a creation may succeed when one of them has ended
NO_SUCH_JOB = "2001"
BUSY_READING = passing("cancel", "show", "log", "list")  # the cluster behind the service does not answer
STILL_CREATING = passing("cancel")

DATASETS = "look at datasets: [owner/name]"
MODELS = "look at models: [owner/name]"

CODES = {
    # any error without a code of its own: of a creation it is as final as its message says
    "99": Code("RESPONSE_CODE_ERROR_DEFAULT", "the message is all that OpenI says", BUSY_READING),
    "1001": Code("RESOURCE_QUEUE_NOT_AVAILABLE", "selfcheck lists the machines"),
    "1002": Code("SPECIFICATION_NOT_EXIST", "selfcheck lists the machines"),
    "1003": Code("SPECIFICATION_NOT_AVAILABLE", "selfcheck lists the machines"),
    "1004": Code("CATEGORY_STILL_HAS_BADGES"),
    "1005": Code("BADGES_STILL_HAS_USERS"),
    NO_SUCH_JOB: Code("AI_TASK_NOT_EXISTS", "list shows your jobs"),
    "2002": Code("AI_TASK_NOT_FINISHED", "wait for the job to end", STILL_CREATING),
    "2003": Code("SPEC_NOT_AVAILABLE", "selfcheck lists the machines"),
    "2004": Code("MULTI_TASK", "OpenI runs a limited number of jobs of one user: wait, or cancel one"),
    "2005": Code("JOB_NAME_ALREADY_USED", "choose another name, or leave it out"),
    "2006": Code("INSUFFICIENT_POINT_BALANCE", "the points have to last for an hour of all nodes"),
    "2007": Code("DATASET_NOT_EXISTS", DATASETS),
    "2008": Code("MODEL_NOT_EXISTS", MODELS),
    "2009": Code("RESULT_CLEARD", "the files are cleared: submit again"),
    "2010": Code("CREATE_FAILED", "look at the message, and submit again"),
    "2011": Code("RESTART_FAILED"),
    "2012": Code("STOP_FAILED", "the cluster did not stop it: cancel again", passing("cancel")),
    "2013": Code("DATASET_SIZE_OVER_LIMIT", "the data sets are larger than OpenI takes"),
    "2014": Code("BOOT_FILE_NOT_EXIST", "push the branch: the boot file is not in it"),
    "2015": Code("BOOT_FILE_MUST_BE_PYTHON", "boot_file has to end with .py"),
    "2016": Code("NO_NODE_RIGHR", "several nodes need a right that this account has not"),
    "2017": Code("DATASET_SELECT_ERROR", DATASETS),
    "2018": Code("PARTIAL_DATASETS_NOT_AVAILABLE", DATASETS),
    "2019": Code("LOAD_CODE_FAILED", "look at the repository and its branch"),
    "2020": Code("BRANCH_NOT_EXISTS", "push the branch"),
    "2021": Code("MODEL_NUM_OVER_LIMIT", "fewer models"),
    "2022": Code("DATASET_NUMBER_OVER_LIMIT", "fewer data sets"),
    "2023": Code("NOTEBOOK_EXCEED_MAX_NUM"),
    # of a stop: the job is still being created; of a creation: no centre has this machine (NO_CENTER_MATCH)
    "2024": Code(
        "CAN_NOT_STOP_CREATING_JOB", "no centre has this machine: choose another spec", STILL_CREATING
    ),
    "2025": Code("MODEL_NUMBER_OVER_LIMIT", "fewer models"),
    "2026": Code("MODEL_SIZE_OVER_LIMIT", "the model is larger than OpenI takes"),
    "2027": Code("IMAGE_NOT_AVAILABLE", "look at image"),
    "2028": Code("REPO_CAN_NOT_CREATE_AI_TEMPLATE"),
    "2029": Code("ENDPOINT_NOT_EQAUL_TASK"),
    "2030": Code("ENDPOINT_AND_PORT"),
    "2031": Code("PORT_RANGE"),
    "2032": Code("ENDPOINT_NOT_START_SLASH"),
    "2033": Code("ENDPOINT_MUST_BE_VALID"),
    "2034": Code("CAN_NOT_STOP_SAVING_IMAGE_JOB", "cancel it when its image is saved", passing("cancel")),
    "2035": Code("CAN_NOT_FINETUNE_EXPERIENCE"),
    "2036": Code("CAN_NOT_Eval"),
    "2037": Code("DATASET_CANNOT_READ", "the data set can't be read by this account"),
    "2038": Code("MODEL_CANNOT_READ", "the model can't be read by this account"),
    "2039": Code("AI_TAKS_TEMPLATE_NAME_INVALID"),
    "2040": Code("REPOSITORY_NOT_EXISTS", "look at repo"),
    "2041": Code("PRIVATE_DATASET_IN_PUBLIC_TEMPLATE"),
    "2042": Code("PRIVATE_MODEL_IN_PUBLIC_TEMPLATE"),
    "2043": Code("PRIVATE_REPOSITORY_IN_PUBLIC_TEMPLATE"),
    "2044": Code("MULTI_MODEL_TASK"),
    "3001": Code("QR_CODE_EXPIRED"),
    "3002": Code("WECHAT_NOT_BOUND"),
    "4001": Code("DATASET_NAME_INVALID"),
    "4002": Code("DATASET_DESCRIPTION_INVALID"),
    "4003": Code("DATASET_NAME_EXIST"),
    "4004": Code("OVER_PREVIEW_SIZE"),
    "4005": Code("UNSUPPORTED_PREVIEW_FILE_TYPE"),
    "4006": Code("DATASET_PATH_INCORRECT"),
    "4007": Code("DATASET_EXIST"),
    "4008": Code("DATASET_PATH_EMPTY"),
    "4009": Code("DATASET_ALIAS_INVALID"),
    "4010": Code("DATASET_ALIAS_EXIST"),
    "4011": Code("RESOURCE_IN_USE", "", passing("look up")),
    "5001": Code("ORG_NOT_ALLOWED_TO_BE_COLLABORATOR"),
    "5002": Code("OWNER_NOT_ALLOWED_TO_BE_COLLABORATOR"),
    "5003": Code("ADD_COLLABORATOR_DUPLICATE"),
    "5004": Code("TEAM_NOT_EXIST"),
    "5005": Code("TEAM_NOT_IN_ORGANIZATION"),
    "5006": Code("ADD_TEAM_DUPLICATE"),
    "6001": Code("AIMODEL_TASK_NOT_FOUND"),
    "6002": Code("AIMODEL_IS_LOADING"),
    "6003": Code("RESOURCE_USAGE_NOT_SUPPORT"),
    "9001": Code("PARAM_ERROR", "a value that OpenI does not take; plan shows the request"),
    "9002": Code(
        "WECHAT_NOT_BIND",
        "bind a WeChat account at OpenI (Settings), it is asked for before jobs are created",
    ),
    "9003": Code("INSUFFICIENT_PERMISSION", "this account has no right to do that"),
    "9004": Code("NOT_EXISTS_OR_NO_PERMISSION", "it does not exist, or this account may not see it"),
    "9005": Code("USER_NOT_EXISTS", "look at the owner's name"),
    # the service itself failed: a creation is looked for by its name before it is asked for again
    "9009": Code("SYSTEM_ERROR", "OpenI itself failed", EVERY, leaves_doubt=True),
}
UNKNOWN = Code("", "", NONE)  # a code that the source's list has not: final
